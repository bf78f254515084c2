//! Scripts: which requests get another reply than the model's, and how it is spoilt. Declarative, the
//! same in Rust and in JSON; the README explains the words, `server.rs` carries them out.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Deserializer};

use crate::http::{Form, Reply};
use crate::model::setters;
use crate::recordings;
use crate::routes::Stage;

/// The point of a request at which the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// The head was read, the body was not.
    Head,
    /// The whole request was read.
    Request,
    /// The reply was sent, as far as `cut` lets it.
    Reply,
}

/// One byte of the raw response is another.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    pub at: usize,
    pub to: u8,
}

/// What one request (or several, see `times`) gets. The default is the model's answer, not spoilt.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    pub(crate) recording: Option<String>,
    pub(crate) status: Option<u16>,
    #[serde(deserialize_with = "pairs")]
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    #[serde(deserialize_with = "latin1")]
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) times: Option<u32>,
    pub(crate) forever: bool,
    pub(crate) apply: Option<bool>,
    pub(crate) delay_ms: u64,
    pub(crate) hold: bool,
    pub(crate) hang_ms: Option<u64>,
    pub(crate) reset: Option<At>,
    pub(crate) close: Option<At>,
    pub(crate) form: Form,
    pub(crate) flip: Option<Flip>,
    pub(crate) cut: Option<usize>,
    pub(crate) drip_ms: Option<u64>,
}

impl Step {
    /// The model's answer.
    pub fn model() -> Self {
        Self::default()
    }

    /// A file of `tests/recordings`, without `.http`.
    pub fn recording(name: &str) -> Self {
        Self { recording: Some(name.to_owned()), ..Self::default() }
    }

    /// A reply made by hand: what a proxy says, or what nobody should.
    pub fn reply(status: u16, content_type: &str, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Self { status: Some(status), headers, body: body.to_owned(), ..Self::default() }
    }

    /// An nginx-like error page, as a proxy in front of the API sends it.
    pub fn proxy_error(status: u16) -> Self {
        let page =
            format!("<html>\r\n<head><title>{status}</title></head>\r\n<body>nginx</body>\r\n</html>\r\n");
        Self::reply(status, "text/html", &page)
    }

    /// Bytes instead of an HTTP response.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { raw: Some(bytes.into()), ..Self::default() }
    }

    /// A further header of `reply` or `recording`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    setters! { step;
        /// Serves this many requests.
        times(times: u32) => times = Some(times);
        /// Serves all requests that follow.
        forever() => forever = true;
        /// Whether the create is carried out (by default: when the reply is the model's).
        apply(apply: bool) => apply = Some(apply);
        /// Waits before the reply.
        delay_ms(ms: u64) => delay_ms = ms;
        /// Waits for `Api::release` before the reply.
        hold() => hold = true;
        /// Silence for this long, then a close.
        hang_ms(ms: u64) => hang_ms = Some(ms);
        /// Ends the connection with a RST.
        reset(at: At) => reset = Some(at);
        /// Ends the connection with a FIN.
        close(at: At) => close = Some(at);
        /// Sends the reply in another form.
        form(form: Form) => form = form;
        /// Changes the byte at this place of the raw response.
        flip(at: usize, to: u8) => flip = Some(Flip { at, to });
        /// Sends only the first bytes of the raw response.
        cut(bytes: usize) => cut = Some(bytes);
        /// Sends byte by byte, with this pause after each.
        drip_ms(ms: u64) => drip_ms = Some(ms);
    }

    fn step(&mut self) -> &mut Self {
        self
    }

    /// The reply that the step names itself; None: the model's.
    pub(crate) fn own_reply(&self) -> Option<Reply> {
        if let Some(status) = self.status {
            let (headers, body) = (self.headers.clone(), self.body.clone().into_bytes());
            return Some(Reply { status, headers, body });
        }
        let mut reply = Reply::parse(recordings::find(self.recording.as_deref()?)?)?;
        reply.headers.extend(self.headers.clone());
        Some(reply)
    }

    /// Whether the model carries a create out: by default when the reply is the model's own.
    pub(crate) fn applies(&self) -> bool {
        self.apply.unwrap_or(self.status.is_none() && self.recording.is_none() && self.raw.is_none())
    }
}

/// Steps per stage. A request takes the next step of its stage, or when there is none (any more) the
/// next one of `any`, or else the model's answer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Script {
    #[serde(flatten)]
    steps: HashMap<Stage, VecDeque<Step>>,
}

/// A method for the steps of each stage.
macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident: $stage:ident;)*) => {
        $($(#[$doc])* pub fn $name(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
            self.steps.entry(Stage::$stage).or_default().extend(steps);
            self
        })*
    };
}

impl Script {
    /// The model answers everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The JSON form.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let script: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        script.check()?;
        Ok(script)
    }

    stages! {
        /// Steps of connections, before anything is read.
        connect: Connect;
        /// Steps of `GET /status`.
        status: Status;
        /// Steps of the list of operations.
        list: List;
        /// Steps of creates.
        create: Create;
        /// Steps of polls.
        poll: Poll;
        /// Steps of `GET /diagnose`.
        diagnose: Diagnose;
        /// Steps of whatever request has none of its stage left.
        any: Any;
    }

    /// A recording that does not exist would silently be the model's answer.
    pub(crate) fn check(&self) -> Result<(), String> {
        let named = self.steps.values().flatten().filter_map(|step| step.recording.as_deref());
        let unknown = named.into_iter().find(|name| recordings::find(name).is_none());
        unknown.map_or(Ok(()), |name| Err(format!("no recording is named '{name}'")))
    }

    /// The step for a connection.
    pub(crate) fn next_connection(&mut self) -> Option<Step> {
        self.steps.get_mut(&Stage::Connect).and_then(take)
    }

    /// The step for a request.
    pub(crate) fn next(&mut self, stage: Stage) -> Option<Step> {
        [stage, Stage::Any].into_iter().find_map(|stage| self.steps.get_mut(&stage).and_then(take))
    }
}

fn take(steps: &mut VecDeque<Step>) -> Option<Step> {
    while let Some(step) = steps.front_mut() {
        if step.forever {
            return Some(step.clone());
        }
        let left = step.times.get_or_insert(1);
        if *left > 0 {
            *left -= 1;
            return Some(step.clone());
        }
        steps.pop_front();
    }
    None
}

/// Headers are an object in JSON.
fn pairs<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<(String, String)>, D::Error> {
    BTreeMap::deserialize(source).map(|map: BTreeMap<_, _>| map.into_iter().collect())
}

/// Bytes are a string in JSON, each character up to U+00FF standing for one byte.
fn latin1<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = String::deserialize(source)?;
    let bytes = text.chars().map(|c| u8::try_from(u32::from(c)));
    bytes.collect::<Result<_, _>>().map(Some).map_err(serde::de::Error::custom)
}
