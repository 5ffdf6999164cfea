package gateway

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/pushgate/pushgate/gateway/admin"
)

// Ranking by pieces equals a sort of everything.
func TestChannelRanking(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		counts := rapid.MapOf(rapid.StringMatching(`[a-c]{1,4}`), rapid.IntRange(1, 3)).Draw(t, "counts")
		q := admin.ChannelQuery{BySubscribers: rapid.Bool().Draw(t, "by subscribers"), Limit: rapid.IntRange(1, 5).Draw(t, "limit")}
		var all []admin.Channel
		for name, n := range counts {
			all = append(all, admin.Channel{Name: name, Subscribers: n})
		}
		inOrder := func(list []admin.Channel) []admin.Channel {
			slices.SortFunc(list, func(a, b admin.Channel) int {
				if q.Before(a, b) {
					return -1
				}
				return 1
			})
			return list
		}
		if len(all) > 0 && rapid.Bool().Draw(t, "cursor") {
			q.After = &rapid.Permutation(inOrder(slices.Clone(all))).Draw(t, "after")[0]
		}
		want := inOrder(slices.DeleteFunc(slices.Clone(all), func(c admin.Channel) bool {
			return q.After != nil && !q.Before(*q.After, c)
		}))
		more := len(want) > q.Limit
		want = want[:min(len(want), q.Limit)]

		r := channelRanking{query: &q}
		for _, c := range rapid.Permutation(inOrder(slices.Clone(all))).Draw(t, "arrival") {
			r.add(&channelSlice{names: []byte(c.Name), ends: []int{len(c.Name)}, counts: []int{c.Subscribers}})
		}
		page := r.page("node")
		if !slices.Equal(page.Channels, want) || (page.Next != "") != more || page.Total != len(all) {
			t.Fatalf("got %+v, want %+v, more %v", page, want, more)
		}
	})
}
