//! The enumerations of registry records, written as `registry.md` writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares an enumeration whose members have one fixed spelling in records.
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $(#[doc = concat!("`", $text, "`")] #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every member, in the order of the specification.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The spelling in records and messages.
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

words! {
    /// The document that governs a checkpoint (CH-57).
    Profile { Lyg = "LYG", Hgs = "HGS", Nng = "NNG" }

    /// Direction of a lane; each belongs to one profile, see [`Direction::profile`].
    Direction {
        Entry = "ENTRY",
        Exit = "EXIT",
        Outbound = "OUTBOUND",
        ImportBorderIn = "IMPORT_BORDER_IN",
        ImportYardIn = "IMPORT_YARD_IN",
        ExportYardIn = "EXPORT_YARD_IN",
        ExportYardOut = "EXPORT_YARD_OUT",
        ExportBorderOut = "EXPORT_BORDER_OUT",
    }

    /// What a lane is marked for (LYG-0.11a, CH-12).
    LaneClass { Freight = "FREIGHT", Passenger = "PASSENGER", Mixed = "MIXED" }

    /// Status of a carrier; DEREGISTERED is the only one that matters at the gate.
    EnterpriseStatus {
        Pending = "PENDING",
        Approved = "APPROVED",
        Rejected = "REJECTED",
        DeregRequested = "DEREG_REQUESTED",
        Deregistered = "DEREGISTERED",
    }

    /// Category of a registered vehicle (LYG-0.4, 0.5, 4.3).
    VehicleCategory {
        PfGeneral = "PF_GENERAL",
        PfContainer = "PF_CONTAINER",
        PfTrade = "PF_TRADE",
        PfDg = "PF_DG",
        PfResident = "PF_RESIDENT",
        PfShortHaul = "PF_SHORT_HAUL",
        PfOther = "PF_OTHER",
        AuxLong = "AUX_LONG",
        BizGroup = "BIZ_GROUP",
        BizStaff = "BIZ_STAFF",
        BizResident = "BIZ_RESIDENT",
        BizPortside = "BIZ_PORTSIDE",
    }

    /// Body of a vehicle; decides the lane (CH-12).
    Body { Passenger = "PASSENGER", MicroFreight = "MICRO_FREIGHT", Freight = "FREIGHT" }

    /// Review status of a registration (LYG-0.12a).
    Registration {
        Pending = "PENDING",
        Approved = "APPROVED",
        Rejected = "REJECTED",
        Deregistered = "DEREGISTERED",
    }

    /// Plate colours (CH-56).
    PlateColour {
        Blue = "blue",
        Yellow = "yellow",
        Green = "green",
        YellowGreen = "yellow-green",
        White = "white",
        Black = "black",
        Other = "other",
    }

    /// Kinds of card (LYG-0.10a, NNG-1.3.2).
    CardType { Single = "SINGLE", Long = "LONG", Ic = "IC" }

    /// Status of a card.
    CardStatus {
        Applied = "APPLIED",
        TerminalOk = "TERMINAL_OK",
        Rechecked = "RECHECKED",
        Approved = "APPROVED",
        Rejected = "REJECTED",
        Issued = "ISSUED",
        InUse = "IN_USE",
        Recovered = "RECOVERED",
        HandedOver = "HANDED_OVER",
        Lost = "LOST",
        Suspended = "SUSPENDED",
        Cancelled = "CANCELLED",
    }

    /// Why a card was cancelled; chooses the article shown.
    CancelReason {
        Returned = "RETURNED",
        Documents = "DOCUMENTS",
        CargoOffence = "CARGO_OFFENCE",
        RoadOffence = "ROAD_OFFENCE",
    }

    /// Kind of a task: production freight, or a single visit of an auxiliary vehicle.
    TaskKind { Pf = "PF", Aux = "AUX" }

    /// State of a task. PUBLISHED is a cargo tray nobody has appointed yet.
    TaskState {
        Published = "PUBLISHED",
        Appointed = "APPOINTED",
        Called = "CALLED",
        Entered = "ENTERED",
        Completed = "COMPLETED",
        Cancelled = "CANCELLED",
    }

    /// State of a reception filing.
    ReceptionState {
        Filed = "FILED",
        Consumed = "CONSUMED",
        Closed = "CLOSED",
        Expired = "EXPIRED",
        Withdrawn = "WITHDRAWN",
    }

    /// Kind of a ban on a vehicle.
    BanKind { Blacklist = "BLACKLIST", OneYear = "ONE_YEAR" }

    /// State of an exit permit.
    PermitState { Issued = "ISSUED", Used = "USED", Void = "VOID" }

    /// State of a leave consent.
    ConsentState { Granted = "GRANTED", Used = "USED", Void = "VOID" }

    /// State of an inspection order; only OPEN matters.
    InspectionState { Open = "OPEN", Concluded = "CONCLUDED" }

    /// Kind of a Horgos appointment (HGS-1.1).
    AppointmentKind { Heavy = "HEAVY", Commodity = "COMMODITY" }

    /// State of a Horgos appointment.
    AppointmentState {
        Draft = "DRAFT",
        Filled = "FILLED",
        Booked = "BOOKED",
        Approved = "APPROVED",
        Completed = "COMPLETED",
        Cancelled = "CANCELLED",
    }

    /// Where the VINs of a commodity appointment came from; chooses the article shown.
    VinSource { Declaration = "DECLARATION", Excel = "EXCEL" }

    /// State of a warehouse approval.
    ApprovalState { Requested = "REQUESTED", Approved = "APPROVED", Rejected = "REJECTED" }

    /// State of a release QR code.
    QrState { Active = "ACTIVE", Used = "USED", Revoked = "REVOKED" }

    /// Status of a carrier at customs; only REGISTERED passes.
    CustomsEnterpriseStatus {
        Applied = "APPLIED",
        FirstReview = "FIRST_REVIEW",
        SecondReview = "SECOND_REVIEW",
        Registered = "REGISTERED",
        Expired = "EXPIRED",
        Revoked = "REVOKED",
    }

    /// Flow of a customs trip.
    Flow { Import = "IMPORT", Export = "EXPORT" }

    /// Regime of a customs trip.
    Regime { Transit = "TRANSIT", Fast = "FAST", Escort = "ESCORT" }

    /// State of a customs trip; absent: open.
    TripState { Created = "CREATED", Confirmed = "CONFIRMED", UnderWay = "UNDER_WAY", Completed = "COMPLETED" }

    /// State of a manifest.
    ManifestState { Transmitted = "TRANSMITTED", WrittenOff = "WRITTEN_OFF" }

    /// How a policy revision counts from its instant on.
    PolicyMode { Live = "LIVE", Shadow = "SHADOW", Advisory = "ADVISORY" }
}

impl Direction {
    /// The profile this direction exists in.
    pub const fn profile(self) -> Profile {
        match self {
            Self::Entry | Self::Exit => Profile::Lyg,
            Self::Outbound => Profile::Hgs,
            Self::ImportBorderIn | Self::ImportYardIn | Self::ExportYardIn | Self::ExportYardOut | Self::ExportBorderOut => Profile::Nng,
        }
    }

    /// Whether the *Entry* column of decision-table section 5 applies (else *Exit*).
    pub const fn is_entry(self) -> bool {
        match self {
            Self::Entry | Self::ImportBorderIn | Self::ImportYardIn | Self::ExportYardIn => true,
            Self::Exit | Self::Outbound | Self::ExportYardOut | Self::ExportBorderOut => false,
        }
    }
}

impl CardStatus {
    /// Whether the card has left the issuer's hands; before that it counts as not on record
    /// (decision-table 7.5).
    pub const fn handed_out(self) -> bool {
        match self {
            Self::Applied | Self::TerminalOk | Self::Rechecked | Self::Approved | Self::Rejected => false,
            Self::Issued | Self::InUse | Self::Recovered | Self::HandedOver | Self::Lost | Self::Suspended | Self::Cancelled => true,
        }
    }
}
