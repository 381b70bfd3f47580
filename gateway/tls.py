"""TLS towards the broker: the context of the settings, and what a refusal means for whoever set it up."""

import ssl
from collections.abc import Callable
from typing import Any

from gateway.errors import GatewayError
from gateway.settings import MqttSettings

_WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_EXPIRED, _HOSTNAME_MISMATCH, _IP_MISMATCH = 10, 62, 64  # X509_V_ERR_… of OpenSSL
# Alerts of the broker about the gateway's certificate (RFC 8446, 6.2), as OpenSSL names them, with what to do.
_REMEDIES = {
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it asks for a certificate; set mqtt.certificate_file and mqtt.key_file",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "mqtt.certificate_file {file} has expired; renew it",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "mqtt.certificate_file {file} was revoked; replace it",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know the authority that signed mqtt.certificate_file {file}; "
    "use a certificate of the broker's authority",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not accept mqtt.certificate_file {file}; "
    "set one that the broker's authority signed for clients",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it may ask for a certificate (mqtt.certificate_file, mqtt.key_file), "
    "or both have no TLS version and cipher in common",
}
for _alert in ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", "TLSV1_ALERT_ACCESS_DENIED"):
    _REMEDIES[_alert] = _REMEDIES["SSLV3_ALERT_BAD_CERTIFICATE"]


def tls_context(settings: MqttSettings, on_alert: Callable[[ssl.SSLError], None]) -> ssl.SSLContext:
    """The context for one connection. `on_alert` gets the error that ends it, which paho keeps to itself.

    With TLS 1.3 a client's handshake is over before the broker looks at its certificate: a refusal comes with a later
    read. Raises GatewayError for files that can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(settings.ca_file) if settings.ca_file else None)
        if settings.certificate_file and settings.key_file:
            context.load_cert_chain(str(settings.certificate_file), str(settings.key_file))
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(f) for f in (settings.ca_file, settings.certificate_file, settings.key_file) if f)
        raise GatewayError(f"mqtt certificates ({files}) can't be read: {error}; give readable PEM files") from error

    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except BaseException:
                self.close()  # paho leaves it to the collector
                raise

        def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
            try:
                return super().recv(buflen, flags)
            except ssl.SSLError as error:
                if not isinstance(error, _WAITING):
                    on_alert(error)
                raise

        def send(self, data: Any, flags: int = 0) -> int:
            try:
                return super().send(data, flags)
            except OSError as error:
                if not isinstance(error, _WAITING):
                    self.recv(1)  # the broker's reason lies there, if it gave one
                raise

    context.sslsocket_class = Socket
    return context


def lasting_refusal(error: ssl.SSLError, settings: MqttSettings) -> GatewayError | None:
    """What to tell if waiting won't heal it: either side's certificate is refused; None for other faults."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            remedy = "renew it at the broker"
        elif error.verify_code in (_HOSTNAME_MISMATCH, _IP_MISMATCH):
            remedy = "use a name in mqtt.url that the certificate holds"
        else:
            remedy = "set mqtt.ca_file to the authority that signed it"
        return GatewayError(
            f"mqtt.url {settings.url}: the broker's certificate is not trusted ({error.verify_message}); {remedy}"
        )
    remedy = _REMEDIES.get(error.reason or "", "").format(file=settings.certificate_file)
    if not remedy:
        return None
    return GatewayError(f"mqtt.url {settings.url}: the broker refused the TLS connection: {remedy} ({error.reason})")
