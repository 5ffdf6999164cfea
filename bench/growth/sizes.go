package growth

import (
	"context"
	"fmt"
	"strconv"
)

// measureSizes sends larger and larger messages to the same clients, and the
// largest once more through a send buffer that holds it.
func measureSizes(ctx context.Context, l *lab, s scale, r *result) error {
	site, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer site.close()
	// The steps in their order, whatever the way through them.
	for _, size := range s.Sizes {
		r.at(sizeText(size), float64(size))
	}
	for _, size := range ordered(l, s.Sizes) {
		if err := site.sized(ctx, s, r.at(sizeText(size), 0), size); err != nil {
			return err
		}
	}
	most := s.Sizes[len(s.Sizes)-1]
	wide, err := l.open(ctx, s, "--socket.send_buffer", strconv.Itoa(most))
	if err != nil {
		return err
	}
	defer wide.close()
	return wide.sized(ctx, s, r.at(wideStep, float64(most)), most)
}

// wideStep is the one with the larger send buffer.
const wideStep = "wide"

func (s *site) sized(ctx context.Context, sc scale, x *step, size int) error {
	s.lab.say("messages of %s", sizeText(size))
	messages := min(sc.Deliveries, sc.SizeBytes/size) / sc.Readers
	if err := s.inTurn(ctx, x, sc.Readers, "all", size, messages); err != nil {
		return fmt.Errorf("%s: %w", sizeText(size), err)
	}
	return nil
}

// sizeText writes a power of two.
func sizeText(n int) string {
	if n >= 1<<10 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
