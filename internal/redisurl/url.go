// Package redisurl adds to go-redis, for the gateway and loadgen, a bit about Redis
// URLs: parameters for TLS, and the refusal of URLs that go-redis misunderstands.
package redisurl

import (
	"net/url"
	"strconv"
	"strings"
)

// Want returns the correction of a URL that go-redis takes and that can't be meant,
// since it would connect to another server than the operator has in mind, or without
// the password; "" for a good one.
func Want(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "a URL"
	}
	_, hasPassword := u.User.Password()
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	switch {
	case u.Fragment != "" || strings.HasSuffix(text, "#"):
		return "# written as %23 within a password"
	case u.User.Username() != "" && !hasPassword:
		return "user:password@ before the host, or :password@ where there is no user"
	case u.Scheme == "unix" && u.Host != "":
		return "unix:///path with three slashes"
	case u.Scheme == "unix":
		return ""
	case strings.Contains(u.Host, ","):
		return "one host; several are redis+sentinel://host:port?master_name=name&addr=host2:port, or redis+cluster://host:port?addr=host2:port"
	case u.Hostname() == "":
		return "a host"
	case strings.HasSuffix(u.Scheme, "+cluster") && strings.Trim(u.Path, "/0") != "":
		return "no database behind the host: a Cluster has only one"
	case strings.Trim(u.Path, "/") != "" && u.Query().Has("db"):
		return "the database once: behind the host, or as db="
	case u.Port() != "" && (err != nil || port == 0):
		return "a port from 1 to 65535"
	}
	return ""
}
