package gateway_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/pushgate/pushgate/gateway"
)

// A program that is its own gateway: it serves clients, and publishes to them. Without
// redis.url the messages go through a Redis server inside of the process.
func Example() {
	cfg := gateway.DefaultConfig()
	cfg.Listen, cfg.Admin.Listen, cfg.Redis.Embedded = "127.0.0.1:0", "", "127.0.0.1:0"
	cfg.Drain.Timeout = 0
	server, err := gateway.New(cfg, gateway.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()

	for server.Ready() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	answer := make(chan string, 1)
	go func() { answer <- poll("http://" + server.Addr() + "/v1/poll?channels=news&max=1") }()
	for text := ""; text == ""; {
		if _, err := server.Publish(ctx, "news", []byte(`{"text":"hello"}`)); err != nil {
			log.Fatal(err)
		}
		select {
		case text = <-answer:
			fmt.Println(text)
		case <-time.After(50 * time.Millisecond): // the channel had no subscriber yet
		}
	}
	stop()
	fmt.Println(<-ended)
	// Output:
	// 200 OK
	// <nil>
}

func poll(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err.Error()
	}
	return resp.Status
}
