//! The network: HTTP, names, proxies and TLS.

mod http;
mod openssl;
mod proxy;
mod tls;
