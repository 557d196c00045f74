//! Violations: suspicions put on record, verified or dismissed by the body the regulation names.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! violations {
    ($($variant:ident $code:literal $doc:literal;)+) => {
        /// A violation raised at decision or passage time.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Violation { $(#[doc = $doc] #[serde(rename = $code)] $variant),+ }

        impl Violation {
            /// Every violation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Stable code, like `V_CARD_MISUSE`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }
        }
    };
}

violations! {
    WrongLane "V_WRONG_LANE" "In the wrong lane class without a manager's override.";
    CardMisuse "V_CARD_MISUSE" "Card, IC card or QR code used for another vehicle, after cancellation, loss or use.";
    ClonePlateSuspected "V_CLONE_PLATE_SUSPECTED" "Signs of a clone plate (套牌).";
    BannedAttempt "V_BANNED_ATTEMPT" "A banned or blacklisted vehicle presented itself for entry.";
    CargoMismatch "V_CARGO_MISMATCH" "Cargo or VIN differs from task or declaration.";
    UnauthorisedLeave "V_UNAUTHORISED_LEAVE" "A short-haul vehicle leaves without consent.";
    SealTamper "V_SEAL_TAMPER" "Seal number differs or seal broken.";
    RouteDeviation "V_ROUTE_DEVIATION" "Left the approved route on the way.";
    Tailgating "V_TAILGATING" "Passage without an authorisation of its own (一车一杆).";
    PassedWhileRefused "V_PASSED_WHILE_REFUSED" "Passed although refused, or although held without release.";
}
