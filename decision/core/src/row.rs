//! The forty rows of the decision table (section 3), with what a passage under each changes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effect::Effect;

macro_rules! rows {
    ($($variant:ident $code:literal [$($effect:ident)*] [$($cite:literal)*] $doc:literal;)+) => {
        /// A row of the decision table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Row { $(#[doc = $doc] #[serde(rename = $code)] $variant),+ }

        impl Row {
            /// Every row, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Number of the row, like `LYG-R01`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// What a passage changes, in order.
            pub const fn effects(self) -> &'static [Effect] {
                match self { $(Self::$variant => &[$(Effect::$effect),*]),+ }
            }

            /// The statements of `regulations.md` the row rests on.
            pub const fn cites(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($cite),*]),+ }
            }
        }
    };
}

rows! {
    LygR01 "LYG-R01" [PresenceOpened SingleCardConsumed TaskEntered] ["LYG-0.12a" "LYG-7.6a" "LYG-5.4"] "PF general/trade/DG/other, ENTRY: single card.";
    LygR02 "LYG-R02" [PresenceOpened TaskEntered] ["LYG-0.12a" "LYG-7.6a" "LYG-0.10a"] "PF general/trade/DG/other, ENTRY: long-term card.";
    LygR03 "LYG-R03" [PresenceClosed SingleCardRecovered TaskCompleted ExitPermitUsed] ["LYG-0.12b" "LYG-5.5a" "LYG-7.6b"] "PF general/trade/DG/other, EXIT: single card.";
    LygR04 "LYG-R04" [PresenceClosed TaskCompleted ExitPermitUsed] ["LYG-0.12b" "LYG-7.6b"] "PF general/trade/DG/other, EXIT: long-term card.";
    LygR05 "LYG-R05" [PresenceOpened TaskEntered] ["LYG-0.9c" "LYG-0.12a" "LYG-7.6a"] "PF container, ENTRY: plate (card exempt).";
    LygR06 "LYG-R06" [PresenceClosed TaskCompleted ExitPermitUsed] ["LYG-0.12b" "LYG-7.6b"] "PF container, EXIT: plate (card exempt).";
    LygR07 "LYG-R07" [PresenceOpened TaskEntered] ["LYG-0.9d" "LYG-5.4" "LYG-7.6a"] "PF resident-enterprise, ENTRY: plate (card exempt, filed).";
    LygR08 "LYG-R08" [PresenceClosed TaskCompleted ExitPermitUsed] ["LYG-0.9d" "LYG-7.6b"] "PF resident-enterprise, EXIT: plate (card exempt, filed).";
    LygR09 "LYG-R09" [PresenceOpened TaskEntered] ["LYG-0.12a" "LYG-7.6a" "LYG-6.4e"] "PF short-haul, ENTRY: long-term card (single card: as R01).";
    LygR10 "LYG-R10" [PresenceClosed TaskCompleted ExitPermitUsed LeaveConsentUsed] ["LYG-6.4e" "LYG-7.6b"] "PF short-haul, EXIT: long-term card + leave consent (single card: as R03).";
    LygR11 "LYG-R11" [PresenceOpened] ["LYG-3.4" "LYG-3.7"] "AUX long-term filed, ENTRY: plate.";
    LygR12 "LYG-R12" [PresenceClosed ExitPermitUsed] ["LYG-7.7"] "AUX long-term filed, EXIT: plate.";
    LygR13 "LYG-R13" [PresenceOpened TaskEntered] ["LYG-3.6" "LYG-3.7"] "AUX single visit, ENTRY: plate + declared task.";
    LygR14 "LYG-R14" [PresenceClosed TaskCompleted ExitPermitUsed] ["LYG-3.6" "LYG-7.7"] "AUX single visit, EXIT: plate + declared task.";
    LygR15 "LYG-R15" [PresenceOpened] ["LYG-4.4a" "LYG-7.5a"] "BIZ long-term filed, ENTRY: plate.";
    LygR16 "LYG-R16" [PresenceClosed] ["LYG-4.4b" "LYG-7.5b"] "BIZ long-term filed, EXIT: plate, normal mode.";
    LygR17 "LYG-R17" [PresenceClosed] ["LYG-4.4c"] "BIZ long-term filed, EXIT: plate, peak pass mode.";
    LygR18 "LYG-R18" [PresenceOpened ReceptionConsumed] ["LYG-4.6c2" "LYG-4.6c3"] "BIZ reception, ENTRY: plate (reception filing).";
    LygR19 "LYG-R19" [PresenceClosed ReceptionClosed] ["LYG-4.4b" "LYG-4.6c2"] "BIZ reception, EXIT: plate, normal mode.";
    LygR20 "LYG-R20" [PresenceClosed ReceptionClosed] ["LYG-4.4c"] "BIZ reception, EXIT: plate, peak pass mode.";
    LygR21 "LYG-R21" [] ["LYG-7.3"] "any LYG category, ENTRY/EXIT: manual plate entry (licence shown).";
    LygR22 "LYG-R22" [] ["LYG-0.12a" "LYG-7.5a" "LYG-7.8b"] "unknown vehicle, ENTRY/EXIT: plate.";
    HgsR01 "HGS-R01" [QrUsed AppointmentCompleted] ["HGS-2.1a" "HGS-2.1b"] "heavy, under a warehouse enterprise, OUTBOUND: QR + plate.";
    HgsR02 "HGS-R02" [QrUsed AppointmentCompleted] ["HGS-2.2"] "heavy, 霍内其他区域换装 / 霍外换装, OUTBOUND: QR + plate.";
    HgsR03 "HGS-R03" [QrUsed AppointmentCompleted] ["HGS-1.6a" "HGS-2.1b"] "heavy, transit declaration (manual form), OUTBOUND: QR + plate.";
    HgsR04 "HGS-R04" [QrUsed AppointmentCompleted] ["HGS-1.6b" "HGS-2.1b"] "heavy, e-commerce list mode, OUTBOUND: QR + plate + release list.";
    HgsR05 "HGS-R05" [AppointmentCompleted] ["HGS-1.4b" "HGS-1.5c"] "commodity vehicle, VINs from declaration, OUTBOUND: appointment + plate.";
    HgsR06 "HGS-R06" [AppointmentCompleted] ["HGS-1.6c"] "commodity vehicle, VINs from Excel, OUTBOUND: appointment + plate.";
    NngR01 "NNG-R01" [TripTimeRecorded] ["NNG-1.5.i2" "NNG-1.5.i3"] "transit import, IMPORT_BORDER_IN: IC card.";
    NngR02 "NNG-R02" [TripTimeRecorded SealVerified] ["NNG-1.5.i5"] "transit import, IMPORT_YARD_IN: IC card.";
    NngR03 "NNG-R03" [TripTimeRecorded] ["NNG-1.5.e2" "NNG-1.5.e3"] "transit export, EXPORT_YARD_OUT: IC card.";
    NngR04 "NNG-R04" [TripTimeRecorded SealVerified] ["NNG-1.5.e5"] "transit export, EXPORT_BORDER_OUT: IC card.";
    NngR05 "NNG-R05" [TripTimeRecorded] ["NNG-1.5.i1" "NNG-1.5.i5" "NNG-1.5.e5"] "transit import/export, any of the four: paper logbook + declaration.";
    NngR06 "NNG-R06" [TripTimeRecorded] ["NNG-2.2.i1a" "NNG-2.2.i1b" "NNG-2.2.i2" "NNG-2.2.i3"] "fast import, IMPORT_BORDER_IN: IC card, trip, e-seal.";
    NngR07 "NNG-R07" [TripTimeRecorded SealVerified] ["NNG-2.2.i3"] "fast import (inspection), IMPORT_YARD_IN: IC card, trip, e-seal.";
    NngR08 "NNG-R08" [TripTimeRecorded] ["NNG-2.2.e1a" "NNG-2.2.e1b" "NNG-2.2.e2"] "fast export, EXPORT_YARD_IN: IC card, trip, e-seal.";
    NngR09 "NNG-R09" [TripTimeRecorded] ["NNG-2.2.e2"] "fast export, EXPORT_YARD_OUT: IC card, trip, e-seal.";
    NngR10 "NNG-R10" [TripTimeRecorded SealVerified ManifestWrittenOff] ["NNG-2.2.e3"] "fast export, EXPORT_BORDER_OUT: IC card, trip, e-seal.";
    NngR11 "NNG-R11" [TripTimeRecorded EscortRecordDue] ["NNG-3.0" "NNG-3.1" "NNG-3.2"] "unfiled vehicle under escort, any: escort approval + declaration.";
    NngR12 "NNG-R12" [] ["NNG-3.0" "NNG-T5c"] "unfiled vehicle, no escort, any: none.";
}
