//! Who a client says that it is, in the certificate that its handshake has verified.

use std::sync::Arc;

use rustls::ServerConnection;
use webpki::EndEntityCert;

/// The DNS names and URIs of the client's certificate; none where it showed none.
pub(super) fn names(connection: &ServerConnection) -> Arc<[String]> {
    let certificate = connection.peer_certificates().and_then(|chain| chain.first());
    let certificate = certificate.and_then(|certificate| EndEntityCert::try_from(certificate).ok());
    let names = certificate.iter().flat_map(|named| named.valid_dns_names().chain(named.valid_uri_names()));
    names.map(str::to_owned).collect()
}
