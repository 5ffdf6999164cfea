// Package auth says who may connect and what they may do: it verifies tokens
// against keys, turns their claims into grants, and matches channel names and
// origins against patterns. It opens no sockets of its own beside the one that
// fetches a JWKS URL in the background.
//
// # Tokens
//
// A token is a JWT signed with HS256, RS256, ES256 or EdDSA. The type of the
// key decides the algorithm, and the token's header must agree with it, so a
// public key is never used as a shared secret and "none" is never accepted.
// The signature is checked before a byte of the claims is parsed. Claims:
//
//	sub        who the client is, up to 256 bytes
//	exp, nbf   seconds since 1970
//	aud, iss   checked where the configuration names the expected ones
//	subscribe  patterns the client may subscribe to
//	publish    patterns the client may publish to
//	channels   channels the client is subscribed to at once, and may
//	           subscribe to again later without a pattern for them
//
// The last three are an array of strings or one comma separated string, up to
// 100 entries each. A claim that is missing or null grants nothing.
//
// # Patterns
//
// A pattern is compared with a whole channel name, byte by byte:
//
//	other  itself
//	*      one or more bytes up to the next separator, which is . : or /
//	       once in a segment, alone or beside letters: room.*, room.a-*
//	**     at the end only: one or more bytes of any kind, separators too
//	{sub}  the subject of the token, literally
//
// So news.* matches news.uk but neither news nor news. nor news.uk.sport;
// news.** matches news.uk and news.uk.sport; ** matches every channel; and *
// every channel without a separator. Separators are not exchangeable: a.*
// does not match a:b.
//
// A token that uses {sub} is refused unless its subject is a channel name
// without separators. A subject such as "bob.admin" would otherwise reach with
// user.{sub} into user.bob.**, which belongs to somebody else. The issuer of
// tokens for such subjects writes the pattern out.
package auth
