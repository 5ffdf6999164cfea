package conn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/pushgate/pushgate/gateway/internal/reasons"
	"github.com/pushgate/pushgate/internal/tlsrecord"
)

// alertReasons are the failures that the server's alert tells.
var alertReasons = map[byte]reasons.TLS{
	40:  reasons.TLSSuite,    // handshake_failure
	70:  reasons.TLSVersion,  // protocol_version
	120: reasons.TLSProtocol, // no_application_protocol
}

// certificateErrors are how those errors of crypto/tls about certificates begin that have no type.
// Their alerts don't tell them either: in TLS 1.3 they are encrypted, in TLS 1.2 a missing
// certificate's is handshake_failure.
var certificateErrors = []string{
	"tls: client didn't provide a certificate",
	"tls: failed to parse client certificate: ",
	"tls: client sent certificate containing RSA key larger than ",
	"tls: client certificate ", // contains a key, or is used with a signature, that isn't supported
	"tls: invalid signature by the client certificate: ",
	"tls: peer doesn't support any of the certificate's signature algorithms", // the server's
}

// failure returns the reason for a handshake's error; out is the last that the server has sent.
func failure(err error, out []byte) reasons.TLS {
	var (
		remote *net.OpError
		plain  tlsrecord.PeerAlert
		cert   *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return reasons.TLSLeft
	case errors.As(err, &plain), errors.As(err, &remote) && remote.Op == "remote error":
		return reasons.TLSPeerAlert
	case errors.As(err, &cert):
		return reasons.TLSCertificate
	}
	for _, text := range certificateErrors {
		if strings.HasPrefix(err.Error(), text) {
			return reasons.TLSCertificate
		}
	}
	if len(out) == 7 && tlsrecord.Type(out[0]) == tlsrecord.TypeAlert {
		if reason, ok := alertReasons[out[6]]; ok {
			return reason
		}
	}
	return reasons.TLSHandshake
}
