//! Planted bugs: what the world does against its promises, so that the oracle has something to
//! find. All of them sit in the simulated parts; the program under test has none of them.

/// A bug planted in the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plant {
    /// The disk says "synced" and is not: a power cut takes the last commits, and what the log on
    /// the same disk had said was durable.
    SkipSync,
    /// The log acknowledges a batch and loses one record of it.
    LoseOutboxRow,
    /// The log acknowledges a read and loses it.
    LoseRead,
    /// Nobody is fenced off: a former owner's transactions still go through.
    ForgetFence,
    /// The group gives the site to a second node while the first still works, and nobody is fenced.
    TakeOverEarly,
    /// Barriers hear commands before their transaction is committed.
    CommandBeforeCommit,
    /// A registry feed that invents re-issues: a used card counts as fresh.
    CountCardTwice,
    /// A read that comes twice comes under another id the second time.
    ForgetRepeats,
    /// The barrier forgets which commands it has obeyed.
    BarrierRepeats,
    /// The barrier does not look at the expiry.
    BarrierExpired,
    /// The barrier's clock is set back and nobody notices.
    ClockBack,
    /// The published journal differs from the committed one.
    ForgeJournal,
}

impl Plant {
    /// Every one, with its name.
    pub const ALL: [(Self, &'static str); 12] = [
        (Self::SkipSync, "skip-sync"),
        (Self::CommandBeforeCommit, "command-before-commit"),
        (Self::ForgetFence, "forget-fence"),
        (Self::TakeOverEarly, "take-over-early"),
        (Self::LoseOutboxRow, "lose-outbox-row"),
        (Self::LoseRead, "lose-read"),
        (Self::CountCardTwice, "count-card-twice"),
        (Self::ForgetRepeats, "forget-repeats"),
        (Self::BarrierRepeats, "barrier-repeats"),
        (Self::BarrierExpired, "barrier-expired"),
        (Self::ClockBack, "clock-back"),
        (Self::ForgeJournal, "forge-journal"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(plant, _)| *plant == self).map_or("", |(_, name)| name)
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(plant, _)| *plant)
    }

    /// Whether it needs a cluster (or, if false, one machine); none: it can happen in both.
    pub fn needs_cluster(self) -> Option<bool> {
        match self {
            Self::ForgetFence | Self::TakeOverEarly | Self::CommandBeforeCommit => Some(true),
            Self::SkipSync => Some(false),
            _ => None,
        }
    }
}
