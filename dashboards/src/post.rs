//! One POST over HTTP/1.1, in clear or with TLS 1.3: all that a webhook needs. A receiver's
//! certificate rests on the machine's own authorities or on those of a file; one that does not is
//! not spoken to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::error::ServeError;

/// Where Debian keeps the authorities it trusts (package `ca-certificates`).
pub const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The head of an answer is not read beyond this.
const HEAD_BYTES_MAX: usize = 8192;

/// Where to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Speaks TLS.
    pub tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Of `http://HOST[:PORT]/PATH` or `https://…`; none for anything else, a name and password in it included.
    pub fn parse(url: &str) -> Option<Self> {
        let (tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return None,
        };
        let (authority, path) = rest.find(['/', '?']).map_or((rest, ""), |at| rest.split_at(at));
        let path = path.split('#').next().unwrap_or_default();
        // An IPv6 address stands in brackets.
        let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None if tls => 443,
            None => 80,
        };
        let lawful =
            !host.is_empty() && url.is_ascii() && !url.contains(|c: char| c.is_ascii_whitespace() || c.is_ascii_control() || c == '@');
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        lawful.then(|| Self { tls, host: host.to_owned(), port, path })
    }

    fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }
}

/// What a receiver's certificate may rest on: the file's authorities, or the machine's.
///
/// # Errors
/// [`ServeError::Authorities`]: the file can't be read or holds none.
pub fn trusting(authorities: Option<&Path>) -> Result<Arc<ClientConfig>, ServeError> {
    let path = authorities.map_or_else(|| PathBuf::from(SYSTEM_AUTHORITIES), Path::to_owned);
    let wrong = |why: String| ServeError::Authorities { path: path.clone(), why };
    let certificates =
        CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|e| wrong(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err(wrong("it holds no authority's certificate".into()));
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|e| wrong(e.to_string()))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Posts the JSON and returns the answer's status. Redirects are not followed. No time limit of its own.
///
/// # Errors
/// In words: no connection, no agreement on TLS, no HTTP answer.
pub async fn post(target: &Target, tls: Option<Arc<ClientConfig>>, headers: &[(&str, &str)], body: &str) -> Result<u16, String> {
    let stream = TcpStream::connect((target.host.as_str(), target.port)).await.map_err(|e| format!("no connection: {e}"))?;
    if !target.tls {
        return exchange(stream, target, headers, body).await;
    }
    let tls = tls.ok_or("there is nothing to check its certificate against")?;
    let name = ServerName::try_from(target.host.clone()).map_err(|e| e.to_string())?;
    let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(|e| format!("no TLS: {e}"))?;
    exchange(stream, target, headers, body).await
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    target: &Target,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<u16, String> {
    let mut request = format!("POST {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", target.path, target.host_header());
    request.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).await.map_err(|e| format!("it broke off: {e}"))?;
    stream.flush().await.map_err(|e| format!("it broke off: {e}"))?;
    let mut head = Vec::new();
    let mut chunk = [0u8; 1024];
    while !head.contains(&b'\n') && head.len() < HEAD_BYTES_MAX {
        match stream.read(&mut chunk).await.map_err(|e| format!("no answer: {e}"))? {
            0 => break,
            n => head.extend_from_slice(chunk.get(..n).unwrap_or_default()),
        }
    }
    status(&head).ok_or_else(|| "its answer is not HTTP".to_owned())
}

/// Of `HTTP/1.1 204 No Content`.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.split(|b| *b == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split_ascii_whitespace();
    words.next().filter(|version| version.starts_with("HTTP/1."))?;
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_or_refused() {
        let parsed = |url: &str| Target::parse(url).map(|t| (t.tls, t.host_header(), t.path));
        assert_eq!(parsed("http://127.0.0.1:9000/alerts"), Some((false, "127.0.0.1:9000".into(), "/alerts".into())));
        assert_eq!(parsed("https://alerts.port.cn/in?x=1#part"), Some((true, "alerts.port.cn:443".into(), "/in?x=1".into())));
        assert_eq!(parsed("https://[::1]:8443"), Some((true, "[::1]:8443".into(), "/".into())));
        for wrong in ["ftp://x/", "https://", "http://u:p@host/", "http://host:99999/", "http://host/\r\nx: y", "http://主机/"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn only_a_status_line_is_an_answer() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\r\n"), Some(503));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status(b""), None);
    }
}
