package gateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/pushgate/pushgate/gateway/auth"
	"github.com/pushgate/pushgate/internal/gatewaytest"
)

// A poll's body takes all that its query does, the token too, and nothing else.
func TestPollBody(t *testing.T) {
	in := start(t, withTokens).ready()
	good := token(t, auth.Claims{Subject: "a", Subscribe: []string{"a"}})
	for name, tc := range map[string]struct {
		body, header string
		status       int
		says         string
	}{
		"token in the body":      {`{"channels":["a"],"wait":0,"token":"` + good + `"}`, "", 204, ""},
		"token in the header":    {`{"channels":["a"],"wait":0}`, good, 204, ""},
		"the header comes first": {`{"channels":["a"],"wait":0,"token":"nonsense"}`, good, 204, ""},
		"no token":               {`{"channels":["a"],"wait":0}`, "", 401, "a token is required"},
		"a bad token":            {`{"channels":["a"],"wait":0,"token":"nonsense"}`, "", 401, "token refused"},
		"not its channel":        {`{"channels":["b"],"wait":0,"token":"` + good + `"}`, "", 403, "does not allow the channel b"},
		"a slip in a name":       {`{"chanels":["a"]}`, good, 400, `unknown field \"chanels\"`},
		"channels in one string": {`{"channels":"a"}`, good, 400, "channels is to be an array, not a string"},
		"no object":              {`[]`, good, 400, "it is to be an object, not an array"},
		"cut":                    {`{"channels":`, good, 400, "it ends too early"},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest("POST", "http://"+in.Addr()+"/v1/poll", strings.NewReader(tc.body))
			if tc.header != "" {
				req.Header.Set("Authorization", "Bearer "+tc.header)
			}
			resp, err := gatewaytest.Once.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != tc.status || !strings.Contains(string(text), tc.says) {
				t.Errorf("got %d %s, %v", resp.StatusCode, text, err)
			}
			if tc.status == 401 && resp.Header.Get("WWW-Authenticate") != "Bearer" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}
