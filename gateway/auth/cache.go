package auth

import "sync"

// cache remembers up to twice its size of entries in two generations: recently
// used ones are in the young one, and the old one is dropped when the young one is
// full. Values are immutable, and a lost one is made again. Safe for concurrent use.
type cache[K comparable, V any] struct {
	// Immutable
	size int

	// Guarded by mu
	mu         sync.Mutex
	young, old map[K]V
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	return &cache[K, V]{size: size, young: make(map[K]V)}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v, ok := c.young[key]; ok {
		return v, true
	}
	v, ok := c.old[key]
	if ok {
		c.insert(key, v)
	}
	return v, ok
}

// put returns the value to use: the one that is already there when another
// goroutine was first.
func (c *cache[K, V]) put(key K, v V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.young[key]; ok {
		return first
	}
	c.insert(key, v)
	return v
}

func (c *cache[K, V]) insert(key K, v V) {
	if len(c.young) >= c.size {
		c.old, c.young = c.young, make(map[K]V)
	}
	c.young[key] = v
}
