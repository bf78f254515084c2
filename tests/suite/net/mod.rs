//! The network: HTTP, names, proxies and TLS.

mod http;
mod openssl;
mod proxy;
mod tls;

use std::process::Command;

use crate::support::node::{Ended, Node, SERVER};
use standin::Model;

/// A model whose recoveries end at once, and restore nothing.
fn model() -> Model {
    Model::new().server(SERVER).backup("20261122T101942").unique_ids()
}

/// A recovery to come on a node of its own, with an empty environment and two tries. It takes Barman's word for the
/// data, as these tests are about the way to the API alone.
struct Recovery {
    node: Node,
    command: Command,
}

impl Recovery {
    fn through(url: &str) -> Self {
        let node = Node::new();
        let mut command =
            node.command(url, &["--no-lease", "--no-verify", "--max-retries=2", "--max-outage=5"]);
        command.env_clear();
        Self { node, command }
    }

    fn arg(mut self, argument: impl AsRef<str>) -> Self {
        self.command.arg(argument.as_ref());
        self
    }

    fn args<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.command.args(arguments);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Without the line that says that the data was not verified.
    fn end(self) -> Ended {
        let mut ended = self.node.spawn(self.command).end();
        ended.log = ended.log.split_inclusive('\n').filter(|line| !line.contains("(--no-verify)")).collect();
        ended
    }
}
