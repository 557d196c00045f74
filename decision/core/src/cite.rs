//! The one article shown with a reason, by context (decision-table 5.2). Only articles of the
//! document that governs the checkpoint; `None` is a system notice without article (CH-57).

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use crate::reason::Reason;
use crate::registry::{CancelReason, Direction, Profile};

/// What kind of vehicle stands there, as far as articles differ by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Production freight (生产货运车辆).
    Production,
    /// Auxiliary production vehicle (辅助生产车辆).
    Auxiliary,
    /// Business-affairs vehicle (事务性车辆).
    Business,
    /// Reception vehicle (接待车辆).
    Reception,
}

/// Everything the choice of an article depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matter {
    /// Direction, and with it the profile.
    pub direction: Direction,
    /// Class of a Lianyungang vehicle; none: unknown.
    pub class: Option<Class>,
    /// Customs: the trip is in fast clearance.
    pub fast: bool,
    /// Customs: the vehicle is under escort.
    pub escort: bool,
    /// Horgos: the yard is 霍内其他区域换装 or 霍外换装.
    pub outside_warehouse: bool,
    /// Horgos: the VINs came from Excel.
    pub vins_from_excel: bool,
    /// Why the presented card was cancelled.
    pub cancel_reason: Option<CancelReason>,
}

impl Matter {
    /// Nothing known yet but the direction.
    pub const fn at(direction: Direction) -> Self {
        Self { direction, class: None, fast: false, escort: false, outside_warehouse: false, vins_from_excel: false, cancel_reason: None }
    }
}

/// The article shown for a reason; none: a system notice.
pub fn article(reason: Reason, matter: &Matter) -> Option<&'static str> {
    let entry = matter.direction.is_entry();
    let by_direction = |at_entry, at_exit| Some(if entry { at_entry } else { at_exit });
    let lyg = |id| (matter.direction.profile() == Profile::Lyg).then_some(id);
    let import = is_import(matter.direction);
    let by_flow = |at_import, at_export| Some(if import { at_import } else { at_export });
    let warehouse = Some(if matter.outside_warehouse { "HGS-2.2" } else { "HGS-2.1b" });
    match reason {
        Reason::SysLaneMisconfigured
        | Reason::SysLogAway
        | Reason::SysRegistryStale
        | Reason::SysCutOff
        | Reason::SysClockStepped
        | Reason::SysDiskFull
        | Reason::SysEvidenceAway
        | Reason::SysRecogniserAway
        | Reason::SysCameraAway
        | Reason::SysCardReaderAway
        | Reason::SysPolicyMissing
        | Reason::SysLateEvidence
        | Reason::SysCommandExpired
        | Reason::RegistryUnavailable
        | Reason::CredentialReserved
        | Reason::ImpossibleTravel => None,
        Reason::PlateUnreadable | Reason::PlateLowConfidence | Reason::ManualPlateEntry => lyg("LYG-7.3"),
        Reason::WrongLane => match matter.class {
            Some(Class::Business | Class::Reception) => Some("LYG-4.5"),
            Some(Class::Production | Class::Auxiliary) | None => Some("LYG-7.4"),
        },
        Reason::PlateCardMismatch => Some("LYG-7.2"),
        Reason::PlateColourMismatch => match matter.class {
            Some(Class::Reception) => Some("LYG-4.6c1"),
            Some(Class::Production | Class::Auxiliary | Class::Business) | None => Some("LYG-4.6b"),
        },
        Reason::PlateIcCardMismatch => Some("NNG-1.3.2"),
        Reason::QrPlateMismatch => Some("HGS-2.1b"),
        Reason::VehicleBlacklisted => Some("LYG-6.4e"),
        Reason::VehicleBannedOneYear => Some("LYG-2.5b"),
        Reason::EnterpriseDeregistered => Some("LYG-1.5"),
        Reason::VehicleNotRegistered => by_direction("LYG-0.12a", "LYG-7.8a"),
        Reason::RegistrationNotApproved | Reason::RegistrationCancelled | Reason::RegistrationExpired => match matter.class {
            Some(Class::Production) | None => by_direction("LYG-0.12a", "LYG-7.6b"),
            Some(Class::Auxiliary) => by_direction("LYG-0.9d", "LYG-7.7"),
            Some(Class::Business | Class::Reception) => by_direction("LYG-7.5a", "LYG-7.5b"),
        },
        Reason::VehicleDocumentExpired => Some("LYG-2.3a"),
        Reason::ReceptionNotYetValid | Reason::ReceptionExpired | Reason::ReceptionAlreadyUsed => Some("LYG-4.6c3"),
        Reason::CardRequired => Some("LYG-0.9c"),
        Reason::CardUnknown | Reason::CardNotYetValid | Reason::CardExpired => by_direction("LYG-7.6a", "LYG-0.9c"),
        Reason::CardTypeNotAccepted => Some("LYG-0.10a"),
        Reason::CardCancelled => Some(match matter.cancel_reason {
            Some(CancelReason::Returned) => "LYG-6.3b",
            Some(CancelReason::Documents) => "LYG-6.4c",
            Some(CancelReason::CargoOffence) => "LYG-6.4d",
            Some(CancelReason::RoadOffence) => "LYG-6.4f",
            None => "LYG-0.9c",
        }),
        Reason::CardReportedLost => Some("LYG-6.3c"),
        Reason::SingleCardAlreadyUsed => by_direction("LYG-5.4", "LYG-5.5a"),
        Reason::TaskMissing => Some("LYG-0.9b"),
        Reason::TaskVehicleMismatch => by_direction("LYG-2.7b", "LYG-7.6b"),
        Reason::TaskNotActive | Reason::CargoTaskMismatch => match matter.class {
            Some(Class::Auxiliary) => Some("LYG-7.7"),
            Some(Class::Production | Class::Business | Class::Reception) | None => by_direction("LYG-7.6a", "LYG-7.6b"),
        },
        Reason::TaskOutsideWindow => Some("LYG-2.8a"),
        Reason::NoReleaseInstruction => Some("LYG-2.9b"),
        Reason::ExitPermitMissing | Reason::ExitPermitInvalid => match matter.class {
            Some(Class::Auxiliary) => Some("LYG-7.7"),
            Some(Class::Production | Class::Business | Class::Reception) | None => Some("LYG-7.6b"),
        },
        Reason::LeaveConsentMissing => Some("LYG-6.4e"),
        Reason::CustomsVehicleNotFiled => Some("NNG-3.0"),
        Reason::CustomsEnterpriseNotRegistered => Some("NNG-1.2.7"),
        Reason::CustomsEnterpriseCertExpired | Reason::CustomsGuaranteeExpired => Some("NNG-T2"),
        Reason::PermitToCarryExpired => Some("NNG-T4"),
        Reason::DriverNotFiled | Reason::DriverNotOfEnterprise => Some("NNG-1.4.1"),
        Reason::IcCardRequired if matter.fast => Some("NNG-1.3.2"),
        Reason::IcCardRequired => Some(ic_release(matter.direction).unwrap_or("NNG-1.3.2")),
        Reason::IcCardInvalid => Some("NNG-1.3.2"),
        Reason::ManifestMissing => manifest(import, matter.fast),
        Reason::ManifestAlreadyWrittenOff if matter.fast => by_flow("NNG-2.2.i1c", "NNG-2.2.e3"),
        Reason::ManifestAlreadyWrittenOff => manifest(import, false),
        Reason::ManifestLate => Some("NNG-2.2.e1a"),
        Reason::TripManifestNotOneToOne => by_flow("NNG-2.2.i1c", "NNG-2.2.e1b"),
        Reason::TripNotConfirmed | Reason::TripConfirmedLate => by_flow("NNG-2.2.i1b", "NNG-2.2.e1b"),
        Reason::TransitDeclarationMissing if matter.escort => Some("NNG-3.1"),
        Reason::TransitDeclarationMissing => by_flow("NNG-1.5.i1", "NNG-1.5.e1"),
        Reason::FastEquipmentMissing => Some("NNG-2.1"),
        Reason::SealNotRecorded | Reason::SealNotVerified | Reason::SealMismatch if matter.fast => Some("NNG-2.0"),
        Reason::SealNotRecorded => by_flow("NNG-1.5.i2", "NNG-1.5.e2"),
        Reason::SealNotVerified | Reason::SealMismatch => by_flow("NNG-1.5.i5", "NNG-1.5.e5"),
        Reason::SealBroken => Some("NNG-T5d"),
        Reason::RouteDeviation => Some("NNG-T3"),
        Reason::EscortStaffShort | Reason::EscortFeeUnpaid => Some("NNG-3.2"),
        Reason::AppointmentMissing | Reason::AppointmentNotActive => Some("HGS-1.1"),
        Reason::DeclarationNotImported => Some("HGS-1.3"),
        Reason::DeclarationPlateMismatch => Some("HGS-1.5a"),
        Reason::HeavyVehicleCountMismatch => Some("HGS-1.5b"),
        Reason::CbecReleaseListMissing => Some("HGS-1.6b"),
        Reason::WarehouseApprovalMissing | Reason::WarehouseApproverNotCompetent | Reason::QrRelease => warehouse,
        Reason::QrNotPresented | Reason::QrInvalid | Reason::QrAlreadyUsed => Some("HGS-2.1b"),
        Reason::VinListIncomplete => Some(if matter.vins_from_excel { "HGS-1.6c" } else { "HGS-1.4b" }),
        Reason::VinMismatch | Reason::CommodityManualRelease => Some("HGS-1.5c"),
        Reason::PlateAlreadyInside | Reason::NoEntryRecord => Some("LYG-7.8a"),
        Reason::InspectionOrdered => inspection(matter),
        Reason::ManualReleaseRequired => lyg(match (matter.class, entry) {
            (Some(Class::Auxiliary), _) => "LYG-7.7",
            (Some(Class::Business | Class::Reception), _) => "LYG-4.4b",
            (Some(Class::Production) | None, true) => "LYG-0.12a",
            (Some(Class::Production) | None, false) => "LYG-7.6b",
        }),
        Reason::CustomsAnnotationRequired => match matter.direction {
            Direction::ImportBorderIn => Some("NNG-1.5.i2"),
            Direction::ImportYardIn => Some("NNG-1.5.i5"),
            Direction::ExportYardOut => Some("NNG-1.5.e2"),
            Direction::ExportBorderOut => Some("NNG-1.5.e5"),
            Direction::ExportYardIn | Direction::Entry | Direction::Exit | Direction::Outbound => None,
        },
        Reason::EscortReleaseRequired => Some("NNG-3.2"),
        Reason::AutoReleaseBusinessEntry => Some("LYG-4.4a"),
        Reason::AutoReleaseAuxiliaryEntry => Some("LYG-3.7"),
        Reason::AutoReleaseReceptionEntry => Some("LYG-4.6c2"),
        Reason::PeakModeExit => Some("LYG-4.4c"),
        Reason::IcCardRelease => ic_release(matter.direction),
        Reason::FastClearanceRelease => match matter.direction {
            Direction::ImportBorderIn => Some("NNG-2.2.i2"),
            Direction::ImportYardIn => Some("NNG-2.2.i3"),
            Direction::ExportYardIn | Direction::ExportYardOut => Some("NNG-2.2.e2"),
            Direction::ExportBorderOut => Some("NNG-2.2.e3"),
            Direction::Entry | Direction::Exit | Direction::Outbound => None,
        },
        Reason::ProceedToInspection => by_flow("NNG-2.2.i3", "NNG-2.2.e2"),
        Reason::AutoReleaseProduction => by_direction("LYG-7.6a", "LYG-7.6b"),
    }
}

fn is_import(direction: Direction) -> bool {
    match direction {
        Direction::ImportBorderIn | Direction::ImportYardIn => true,
        Direction::ExportYardIn
        | Direction::ExportYardOut
        | Direction::ExportBorderOut
        | Direction::Entry
        | Direction::Exit
        | Direction::Outbound => false,
    }
}

fn manifest(import: bool, fast: bool) -> Option<&'static str> {
    Some(match (fast, import) {
        (false, true) => "NNG-1.5.i1",
        (false, false) => "NNG-1.5.e1",
        (true, true) => "NNG-2.2.i1a",
        (true, false) => "NNG-2.2.e1a",
    })
}

/// The article by which the barrier rises for an IC card in transit; at the export yard entry none does.
fn ic_release(direction: Direction) -> Option<&'static str> {
    match direction {
        Direction::ImportBorderIn => Some("NNG-1.5.i3"),
        Direction::ImportYardIn => Some("NNG-1.5.i5"),
        Direction::ExportYardOut => Some("NNG-1.5.e3"),
        Direction::ExportBorderOut => Some("NNG-1.5.e5"),
        Direction::ExportYardIn | Direction::Entry | Direction::Exit | Direction::Outbound => None,
    }
}

fn inspection(matter: &Matter) -> Option<&'static str> {
    match matter.direction {
        Direction::Entry | Direction::Exit => Some(match matter.class {
            Some(Class::Production) => "LYG-2.9c",
            Some(Class::Auxiliary) => "LYG-3.8",
            Some(Class::Business | Class::Reception) | None => "LYG-7.8a",
        }),
        Direction::ExportYardIn | Direction::ExportYardOut | Direction::ExportBorderOut => {
            (matter.fast && !matter.escort).then_some("NNG-2.2.e2")
        }
        Direction::Outbound | Direction::ImportBorderIn | Direction::ImportYardIn => None,
    }
}
