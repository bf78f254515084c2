//! What a config switch changes, and for which new roles of the node.

/// The change of a config switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Model(String),
    Reset,
}

/// For which new roles of the node a config switch is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    Promoted,
    Demoted,
    Always,
}

impl When {
    pub(crate) fn named(word: &str) -> When {
        match word {
            "promoted" => When::Promoted,
            "demoted" => When::Demoted,
            _ => When::Always,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            When::Promoted => "promoted",
            When::Demoted => "demoted",
            When::Always => "always",
        }
    }

    pub(crate) fn applies_to(self, role: &str) -> bool {
        match self {
            When::Promoted => matches!(role, "primary" | "promoted"),
            When::Demoted => matches!(role, "replica" | "demoted"),
            When::Always => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_those_of_the_python_program() {
        let roles = ["primary", "promoted", "standby_leader", "replica", "demoted"];
        let applied = |when: When| roles.map(|role| when.applies_to(role));
        assert_eq!(applied(When::Promoted), [true, true, false, false, false]);
        assert_eq!(applied(When::Demoted), [false, false, false, true, true]);
        assert_eq!(applied(When::Always), [true; 5]);
    }
}
