//! One request against a real socket: what an interrupt or a time-out ends, and what has been sent by then.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::cancel::{Cancel, Interrupt};
use crate::config::TlsFiles;

const LONG: Duration = Duration::from_secs(600);
/// Enough to send a request.
const LIMIT: Duration = Duration::from_secs(2);
const BODY: &[u8] = b"{}";

fn http(caller: &Caller) -> Http {
    let ca_file = Some("tests/tls/ca.pem".into());
    let tls = client_config(&TlsFiles { ca_file, ..TlsFiles::default() }).unwrap();
    Http { caller: caller.clone(), tls, proxy: None, through: String::new() }
}

fn ask(caller: &Caller, url: &str, body: Option<&[u8]>, limit: Duration) -> Result<Reply, Error> {
    let question = Question { body: body.map(Into::into), most: 100, begun: Instant::now(), limit };
    http(caller).exchange(&Url::parse(url).unwrap(), &question)
}

fn get(caller: &Caller, url: &str, limit: Duration) -> Result<Reply, Error> {
    ask(caller, url, None, limit)
}

fn post(caller: &Caller, url: &str, limit: Duration) -> Result<Reply, Error> {
    ask(caller, url, Some(BODY), limit)
}

/// A server for one request; its URL. `work` gets the connection once the whole request has been read.
fn serve(work: impl FnOnce(&mut TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = move || {
        let mut stream = listener.accept().unwrap().0;
        read_request(&mut stream);
        work(&mut stream);
    };
    (url, thread::spawn(server))
}

fn read_request(stream: &mut impl Read) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(0);
        let last = head.len() - 1;
        stream.read_exact(&mut head[last..]).unwrap();
    }
    if head.starts_with(b"POST") {
        stream.read_exact(&mut [0; BODY.len()]).unwrap();
    }
}

/// Reads until the client has closed.
fn await_end(stream: &mut TcpStream) {
    while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
}

/// A server that ends its client's run in the middle of the reply, after these bytes of it.
fn serve_and_cancel(caller: &Caller, reply: &'static [u8]) -> (String, JoinHandle<()>) {
    let cancel = caller.cancel.clone();
    serve(move |stream| {
        stream.write_all(reply).unwrap();
        cancel.cancel();
        await_end(stream);
    })
}

#[track_caller]
fn interrupted(answer: Result<Reply, Error>, sent: bool) {
    let error = answer.unwrap_err();
    let why = Interrupt::Cancelled;
    assert_eq!(error.kind, ErrorKind::Interrupted { why, sent }, "{}", error.message);
}

#[test]
fn an_interrupt_ends_a_request_at_once_and_says_whether_it_was_sent() {
    for (ask, sent) in [(get as fn(&Caller, &str, Duration) -> _, false), (post, true)] {
        let caller = Caller::new(|_| (), Cancel::new());
        let (url, server) = serve_and_cancel(&caller, b"");
        interrupted(ask(&caller, &url, LONG), sent);
        server.join().unwrap();
    }
}

#[test]
fn an_interrupt_ends_a_request_in_the_middle_of_its_reply() {
    let caller = Caller::new(|_| (), Cancel::new());
    let (url, server) = serve_and_cancel(&caller, b"HTTP/1.1 202 ACCEPTED\r\nContent-Length: 2\r\n\r\n{");
    interrupted(post(&caller, &url, LONG), true);
    server.join().unwrap();
}

#[test]
fn after_an_interrupt_nothing_is_sent() {
    let caller = Caller::new(|_| (), Cancel::new());
    caller.cancel.cancel();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    interrupted(get(&caller, &url, LONG), false);
    interrupted(post(&caller, &url, LONG), false);
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn a_time_out_says_whether_the_post_was_sent() {
    let caller = Caller::new(|_| (), Cancel::new());
    for (ask, sent) in [(get as fn(&Caller, &str, Duration) -> _, false), (post, true)] {
        let (url, server) = serve(await_end);
        let error = ask(&caller, &url, LIMIT).unwrap_err();
        assert_eq!((error.is_late(), error.was_sent()), (true, sent), "{}", error.message);
        server.join().unwrap();
    }
}

/// A listener whose queue is full: the kernel answers no SYN.
#[test]
fn a_connect_that_hangs_is_left_behind_and_sends_nothing_later() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        waiting.push(stream);
    }
    let caller = Caller::new(|_| (), Cancel::new());
    let url = format!("http://{address}");
    let error = post(&caller, &url, Duration::from_millis(300)).unwrap_err();
    let why = NoReply::TimedOut(Phase::Connect);
    assert_eq!(error.kind, ErrorKind::NoReply { why, sent: false }, "{}", error.message);

    let (call, url) = (Call::new(), Url::parse(&url).unwrap());
    let agent = http(&caller).agent(&call, LONG);
    let question = Question { body: Some(BODY.into()), most: 100, begun: Instant::now(), limit: LONG };
    let worker = start(&caller, agent.clone(), call.clone(), url, &question).ok().unwrap();
    while call.phase() < Phase::Connect {
        thread::yield_now();
    }
    call.abandon();
    agent.shutdown();
    // There is room again, and the kernel tries once more for the request that was left behind.
    let accepted: Vec<TcpStream> = waiting.iter().map(|_| listener.accept().unwrap().0).collect();
    worker.join();
    assert!(!call.has_posted());
    // It may also have seen that it was left behind before it connected: then no connection comes.
    listener.set_nonblocking(true).unwrap();
    while let Ok((mut late, _)) = listener.accept() {
        late.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(late.read(&mut [0; 64]).unwrap_or(0), 0, "nothing may be sent any more");
    }
    drop(accepted);
}

#[test]
fn a_time_out_within_tls_is_one() {
    let certificate = CertificateDer::from_pem_file("tests/tls/server.pem").unwrap();
    let key = PrivateKeyDer::from_pem_file("tests/tls/server.key").unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
        read_request(&mut stream);
        await_end(&mut stream.sock);
    });
    let error = post(&Caller::new(|_| (), Cancel::new()), &url, LIMIT).unwrap_err();
    assert_eq!((error.is_late(), error.was_sent()), (true, true), "{}", error.message);
    server.join().unwrap();
}
