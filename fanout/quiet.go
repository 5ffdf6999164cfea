package fanout

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

// quietLog turns off the log of go-redis, which writes a line to stderr for
// each failed dial: while Redis is away that is several a second. The links
// log the same once. go-redis has one logger for the process, so this is too.
var quietLog = sync.OnceFunc(func() { redis.SetLogger(noLog{}) })

type noLog struct{}

func (noLog) Printf(context.Context, string, ...any) {}
