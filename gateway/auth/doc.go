// Package auth decides on connections and their rights: it verifies tokens
// against keys, turns their claims into grants, and matches channel names and
// origins against patterns. It opens no sockets of its own beside the one that
// fetches a JWKS URL in the background.
//
// # Tokens
//
// A token is a JWT signed with HMAC, RSA (PKCS 1 or PSS) or ECDSA of 256, 384 or
// 512 bits, or EdDSA. The type of the key decides the algorithms, and the
// token's header must name one of them, so a public key is never used as a
// shared secret and "none" is never accepted.
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
//	{sub}  the subject of the token, as Escape spells it
//
// So news.* matches news.uk but neither news nor news. nor news.uk.sport;
// news.** matches news.uk and news.uk.sport; ** matches every channel; and *
// every channel without a separator. Separators are not exchangeable: a.*
// does not match a:b.
//
// A subject never leaves its segment: as it is, "bob.admin" would reach with
// user.{sub} into user.bob.**, which belongs to somebody else. It may make a
// name longer than a channel's: such an entry grants nothing, the others stand.
package auth
