package gateway

import "strconv"

// connectionID names a connection in the whole fleet and for all time: node,
// shard, slot and the slot's generation.
func (s *shard) connectionID(i uint32, c *conn) string {
	return string(s.appendConnectionID(nil, i, c))
}

func (s *shard) appendConnectionID(b []byte, i uint32, c *conn) []byte {
	b = append(append(b, s.srv.node...), '-')
	b = strconv.AppendUint(b, uint64(s.id), 36)
	b = append(b, '-')
	b = strconv.AppendUint(b, uint64(i), 36)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(c.gen), 36)
}
