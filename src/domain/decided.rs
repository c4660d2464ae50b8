//! What policy can do with an alert.

/// What policy did with an alert that a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decided {
    /// A remediation was opened.
    Opened,
    /// The mode of a waiting proposal was raised.
    Raised,
    /// The alert was linked to a live remediation.
    Linked,
    /// Something is in the way; `held` says what.
    Held,
    /// The rule only watches.
    Shadowed,
}

impl Decided {
    /// Every decision.
    pub const ALL: [Self; 5] = [Self::Opened, Self::Raised, Self::Linked, Self::Held, Self::Shadowed];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Raised => "raised",
            Self::Linked => "linked",
            Self::Held => "held",
            Self::Shadowed => "shadowed",
        }
    }
}
