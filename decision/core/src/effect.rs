//! What a passage changes (decision-table section 3), and what it therefore uses up.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{Presence, UseBook, UseState};
use crate::time::Instant;

macro_rules! named {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident $text:literal $doc:literal;)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name { $(#[doc = $doc] #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As messages write it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}

named! {
    /// An effect of a passage.
    Effect {
        PresenceOpened "PRESENCE_OPENED" "The plate is inside.";
        PresenceClosed "PRESENCE_CLOSED" "The plate is outside.";
        SingleCardConsumed "SINGLE_CARD_CONSUMED" "The single card has served its entry.";
        SingleCardRecovered "SINGLE_CARD_RECOVERED" "The single card was taken back at the exit.";
        TaskEntered "TASK_ENTERED" "The task is under way.";
        TaskCompleted "TASK_COMPLETED" "The task is done.";
        ExitPermitUsed "EXIT_PERMIT_USED" "The exit permit has served.";
        LeaveConsentUsed "LEAVE_CONSENT_USED" "The terminal's consent has served.";
        ReceptionConsumed "RECEPTION_CONSUMED" "The reception filing has served its entry.";
        ReceptionClosed "RECEPTION_CLOSED" "The reception visit is over.";
        QrUsed "QR_USED" "The release QR code has served.";
        AppointmentCompleted "APPOINTMENT_COMPLETED" "The appointment is done.";
        TripTimeRecorded "TRIP_TIME_RECORDED" "The time at this checkpoint stands on the trip.";
        SealVerified "SEAL_VERIFIED" "The seal agreed with the recorded one.";
        ManifestWrittenOff "MANIFEST_WRITTEN_OFF" "The manifest is written off (核注).";
        EscortRecordDue "ESCORT_RECORD_DUE" "Customs owes the escort record (途中监管押运记录).";
    }

    /// Kind of what a passage uses: a registry kind, or the presence of the plate, or the seal.
    UseKind {
        Presence "presence" "Whether the plate is inside.";
        Card "card" "A single card.";
        Task "task" "A task.";
        ExitPermit "exit_permit" "An exit permit.";
        LeaveConsent "leave_consent" "A leave consent.";
        Reception "reception" "A reception filing.";
        QrCode "qr_code" "A release QR code.";
        Appointment "appointment" "A Horgos appointment.";
        Trip "trip" "A customs trip.";
        Seal "seal" "A customs seal.";
        Manifest "manifest" "A manifest.";
        Escort "escort" "A customs escort.";
    }
}

/// One thing a passage will use or change: an Open or a release reserves it, the passage applies
/// it, the departure or the expiry frees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UseIntent {
    /// Effect it belongs to.
    pub effect: Effect,
    /// Plate whose use book keeps it.
    pub plate: String,
    /// Kind of what is used.
    pub kind: UseKind,
    /// Its id; the plate for the presence.
    pub id: String,
    /// Issue of the record, where it has one.
    pub issue: Option<String>,
    /// State afterwards, in the words of its lifecycle.
    pub state: String,
}

impl UseIntent {
    /// Key in the use book's `used` and `reserved`.
    pub fn key(&self) -> String {
        match self.kind {
            UseKind::Presence => "presence".to_owned(),
            UseKind::Card
            | UseKind::Task
            | UseKind::ExitPermit
            | UseKind::LeaveConsent
            | UseKind::Reception
            | UseKind::QrCode
            | UseKind::Appointment
            | UseKind::Trip
            | UseKind::Seal
            | UseKind::Manifest
            | UseKind::Escort => format!("{}/{}", self.kind, self.id),
        }
    }

    /// The presence afterwards, if that is what changes.
    pub fn presence(&self) -> Option<Presence> {
        match self.effect {
            Effect::PresenceOpened => Some(Presence::Inside),
            Effect::PresenceClosed => Some(Presence::Outside),
            Effect::SingleCardConsumed
            | Effect::SingleCardRecovered
            | Effect::TaskEntered
            | Effect::TaskCompleted
            | Effect::ExitPermitUsed
            | Effect::LeaveConsentUsed
            | Effect::ReceptionConsumed
            | Effect::ReceptionClosed
            | Effect::QrUsed
            | Effect::AppointmentCompleted
            | Effect::TripTimeRecorded
            | Effect::SealVerified
            | Effect::ManifestWrittenOff
            | Effect::EscortRecordDue => None,
        }
    }

    /// Whether the passage uses something up that serves once, or moves a task or a paper on. What it
    /// only notes down (inside or outside, a time, a seal compared, a record owed) uses nothing up.
    pub fn uses_up(&self) -> bool {
        match self.effect {
            Effect::PresenceOpened | Effect::PresenceClosed | Effect::TripTimeRecorded | Effect::SealVerified | Effect::EscortRecordDue => {
                false
            }
            Effect::SingleCardConsumed
            | Effect::SingleCardRecovered
            | Effect::TaskEntered
            | Effect::TaskCompleted
            | Effect::ExitPermitUsed
            | Effect::LeaveConsentUsed
            | Effect::ReceptionConsumed
            | Effect::ReceptionClosed
            | Effect::QrUsed
            | Effect::AppointmentCompleted
            | Effect::ManifestWrittenOff => true,
        }
    }

    /// Whether an earlier passage has brought the credential to this very state: an exit that nothing
    /// stops (CH-09) by a visit that is closed already closes nothing a second time.
    pub fn is_done(&self, book: &UseBook) -> bool {
        let repeats = matches!(self.effect, Effect::TripTimeRecorded | Effect::SealVerified | Effect::EscortRecordDue);
        let same = |u: &UseState| u.state == self.state && u.issue == self.issue;
        !repeats && self.presence().is_none() && book.used.get(&self.key()).is_some_and(same)
    }

    /// Writes the use into the plate's book.
    pub fn apply(&self, book: &mut UseBook, passage_id: &str, at: Instant) {
        match self.presence() {
            Some(presence) => book.presence = Some(presence),
            None => {
                let state = UseState { state: self.state.clone(), issue: self.issue.clone(), passage_id: passage_id.to_owned(), at };
                book.used.insert(self.key(), state);
            }
        }
    }
}
