package loadgen

import "context"

// Launch starts the gateway of ServerCmd and waits until it listens at the
// target; stop ends it and waits. It refuses where something listens already.
func Launch(ctx context.Context, c Config) (stop func(), err error) {
	s, err := launch(ctx, c)
	if err != nil {
		return nil, err
	}
	return func() { s.stop(stopGrace) }, nil
}
