package fanout_test

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pushgate/pushgate/fanout"
	"github.com/pushgate/pushgate/fanout/message"
)

// printer is a sink: it hands the messages of its channels to the example.
type printer struct {
	joined   chan struct{}
	messages chan *message.Message
}

func (p *printer) Joined(string, fanout.Joined) { close(p.joined) }
func (p *printer) Deliver(m *message.Message)   { p.messages <- m } // has room: a sink must not block
func (p *printer) Gap(string, fanout.Gap)       {}

// newBroker runs a broker with a Redis server within the process.
func newBroker(ctx context.Context) (broker *fanout.Broker, ended <-chan error) {
	config := fanout.DefaultConfig() // without a URL, there is a server within the process
	config.Embedded = "127.0.0.1:0"
	broker, err := fanout.NewBroker(config, slog.New(slog.DiscardHandler), "node-1")
	if err != nil {
		panic(err)
	}
	done := make(chan error, 1)
	go func() { done <- broker.Run(ctx) }()
	return broker, done
}

// A sink joins a channel and gets the messages that are published to it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	broker, ended := newBroker(ctx)

	sink := &printer{make(chan struct{}), make(chan *message.Message, 10)}
	if _, live := broker.Join("news", sink); !live {
		<-sink.joined
	}
	receivers, err := broker.PublishPlain(ctx, "news", []byte("good morning"), "")
	fmt.Println(receivers, err)
	fmt.Println(string((<-sink.messages).Payload))

	broker.Leave("news", sink)
	cancel()
	fmt.Println(<-ended)
	// Output:
	// 1 <nil>
	// good morning
	// <nil>
}

// A durable message is kept in the channel's history, so that a client that reconnects with the
// id of an earlier one gets it.
func ExampleBroker_Replay() {
	ctx, cancel := context.WithCancel(context.Background())
	broker, ended := newBroker(ctx)

	durable := fanout.PublishOptions{Durable: true, IdempotencyKey: "order-17"}
	first, _ := broker.Publish(ctx, "orders", []byte(`{"order":17}`), durable)
	again, _ := broker.Publish(ctx, "orders", []byte(`{"order":17}`), durable)
	fmt.Println("published twice:", first != again)
	durable.IdempotencyKey = "order-18"
	if _, err := broker.Publish(ctx, "orders", []byte(`{"order":18}`), durable); err != nil {
		panic(err)
	}

	since, err := message.ParsePosition(first)
	if err != nil {
		panic(err)
	}
	replay := make(chan fanout.Replay, 1)
	broker.Replay("orders", since, func(r fanout.Replay) { replay <- r })
	missed := <-replay
	for _, m := range missed.Messages {
		fmt.Println(string(m.Payload))
	}
	fmt.Println("gap:", missed.Gap)
	missed.Done()

	cancel()
	<-ended
	// Output:
	// published twice: false
	// {"order":18}
	// gap: <nil>
}
