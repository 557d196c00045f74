//! Every reason a decision can carry, as one table to be read beside the regulation.
//!
//! A line is: code, check, disposition at entry and at exit (decision-table section 5), severity,
//! basis, violation raised, the statements of `regulations.md` it rests on, and the words shown.
//! The reasons stand in the order in which a decision lists them (section 2). The one article
//! shown to driver and guard is chosen in [`crate::cite`].

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decision::{ReasonRecord, Severity, Verdict};
use crate::violation::Violation;

/// The check that finds a reason, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // the checks of decision-table section 2, by number
pub enum Check {
    Sys,
    C01,
    C02,
    C03,
    C04,
    C05,
    C06,
    C07,
    C08,
    C09,
    C10,
    C11,
    C12,
    C13,
    C14,
    C15,
    C16,
    C17,
    C18,
    C19,
}

impl Check {
    /// As messages write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sys => "SYS",
            Self::C01 => "C01",
            Self::C02 => "C02",
            Self::C03 => "C03",
            Self::C04 => "C04",
            Self::C05 => "C05",
            Self::C06 => "C06",
            Self::C07 => "C07",
            Self::C08 => "C08",
            Self::C09 => "C09",
            Self::C10 => "C10",
            Self::C11 => "C11",
            Self::C12 => "C12",
            Self::C13 => "C13",
            Self::C14 => "C14",
            Self::C15 => "C15",
            Self::C16 => "C16",
            Self::C17 => "C17",
            Self::C18 => "C18",
            Self::C19 => "C19",
        }
    }
}

/// What a failure rests on (decision-table section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The text states the requirement.
    Text,
    /// Derived from the text.
    Derived,
    /// A choice of the software.
    Choice,
}

/// A disposition of the table; `Never` is a cell that cannot occur, and counts as Hold if it does.
macro_rules! disposition {
    (Refuse) => {
        Verdict::Refuse
    };
    (Hold) => {
        Verdict::Hold
    };
    (Open) => {
        Verdict::Open
    };
    (Never) => {
        Verdict::Hold
    };
}

macro_rules! violation {
    (None) => {
        None
    };
    ($violation:ident) => {
        Some(Violation::$violation)
    };
}

macro_rules! reasons {
    ($($variant:ident $code:literal $check:ident $entry:ident $exit:ident $severity:ident $basis:ident $violation:ident
        [$($cite:literal),*] $zh:literal $en:literal;)+) => {
        /// A reason. Ordered as a decision lists them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Reason {
            $(#[doc = $en] #[serde(rename = $code)] $variant),+
        }

        impl Reason {
            /// Every reason, in decision order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Stable code, like `CARD_EXPIRED`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code),+ }
            }

            /// The check that finds it.
            pub const fn check(self) -> Check {
                match self { $(Self::$variant => Check::$check),+ }
            }

            /// What it comes to by the table, before CH-11's exceptions.
            pub const fn disposition(self, entry: bool) -> Verdict {
                match (self, entry) {
                    $((Self::$variant, true) => disposition!($entry), (Self::$variant, false) => disposition!($exit)),+
                }
            }

            /// How grave it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            /// What it rests on.
            pub const fn basis(self) -> Basis {
                match self { $(Self::$variant => Basis::$basis),+ }
            }

            /// Every statement of `regulations.md` it rests on.
            pub const fn cites(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($cite),*]),+ }
            }

            /// 提示: what the driver and the guard are shown.
            pub const fn zh(self) -> &'static str {
                match self { $(Self::$variant => $zh),+ }
            }

            /// The same in English.
            pub const fn en(self) -> &'static str {
                match self { $(Self::$variant => $en),+ }
            }

            const fn listed_violation(self) -> Option<Violation> {
                match self { $(Self::$variant => violation!($violation)),+ }
            }
        }
    };
}

reasons! {
    // Sys
    SysLaneMisconfigured "SYS_LANE_MISCONFIGURED" Sys Hold Hold High Choice None []
        "车道配置有误，请人工处理" "The lane is not configured as its profile needs; decide by hand";
    SysLogAway "SYS_LOG_AWAY" Sys Hold Hold High Choice None []
        "消息日志不可用，请人工处理" "The log is unreachable; decide by hand";
    SysRegistryStale "SYS_REGISTRY_STALE" Sys Hold Hold High Choice None []
        "登记信息过期未更新，请人工核验" "The registry has not been refreshed within its limit; verify by hand";
    SysCutOff "SYS_CUT_OFF" Sys Hold Hold High Choice None []
        "车道与港区主控断开，请人工处理" "The lane is cut off from the owner of its site; decide by hand";
    SysClockStepped "SYS_CLOCK_STEPPED" Sys Hold Hold High Choice None []
        "系统时钟跳变，请人工核验" "The clock has stepped; verify by hand";
    SysDiskFull "SYS_DISK_FULL" Sys Hold Hold High Choice None []
        "存储空间不足，请人工处理" "The disk is full; decide by hand";
    SysEvidenceAway "SYS_EVIDENCE_AWAY" Sys Hold Hold High Choice None []
        "证据存储不可用，请人工处理" "The evidence store is away; decide by hand";
    SysRecogniserAway "SYS_RECOGNISER_AWAY" Sys Hold Hold High Choice None []
        "车牌识别不可用，请人工录入" "The recogniser is away; type the plate in";
    SysCameraAway "SYS_CAMERA_AWAY" Sys Hold Hold High Choice None []
        "摄像机离线，请人工录入" "The camera is away; type the plate in";
    SysCardReaderAway "SYS_CARD_READER_AWAY" Sys Hold Hold High Choice None []
        "读卡器离线，请人工核验卡证" "The card reader is away; verify the card by hand";
    SysPolicyMissing "SYS_POLICY_MISSING" Sys Hold Hold High Choice None []
        "本检查站规则已撤回，无生效版本，请人工处理" "The policy was taken away and none is in force; decide by hand";
    SysLateEvidence "SYS_LATE_EVIDENCE" Sys Hold Hold High Choice None []
        "决定之后才收到的识读，请人工确认" "Evidence came after the decision; confirm by hand";
    SysCommandExpired "SYS_COMMAND_EXPIRED" Sys Hold Hold High Choice None []
        "开闸指令已过期未执行，请人工确认" "The open command expired unexecuted; confirm by hand";
    // C01
    RegistryUnavailable "REGISTRY_UNAVAILABLE" C01 Hold Hold High Choice None ["LYG-0.12a", "LYG-7.3"]
        "登记信息暂时无法查询，请人工核验" "Registry lookup unavailable; verify manually";
    PlateUnreadable "PLATE_UNREADABLE" C01 Hold Hold Medium Text None ["LYG-7.1", "LYG-7.3"]
        "未识别到车牌，请出示行驶证人工录入" "No plate recognised; show the vehicle licence for manual entry";
    PlateLowConfidence "PLATE_LOW_CONFIDENCE" C01 Hold Hold Low Choice None ["LYG-7.1", "LYG-7.2", "LYG-7.3"]
        "车牌识别可信度不足，请刷卡或出示行驶证" "Plate read below confidence threshold; swipe card or show licence";
    ManualPlateEntry "MANUAL_PLATE_ENTRY" C01 Hold Hold Low Text None ["LYG-7.3"]
        "车牌为手工录入，请核对行驶证后放行" "Plate typed in by hand; check vehicle licence, then release";
    // C02
    WrongLane "WRONG_LANE" C02 Hold Hold Low Text WrongLane ["LYG-0.11a", "LYG-4.5", "LYG-7.4"]
        "请按标识走客车/货车通道" "Wrong lane class; use the marked passenger/freight lane";
    // C03
    PlateCardMismatch "PLATE_CARD_MISMATCH" C03 Hold Hold Critical Derived CardMisuse ["LYG-7.1", "LYG-7.2", "LYG-5.5a"]
        "识别车牌与港通卡绑定车牌不一致" "Recognised plate differs from the plate bound to the port pass card";
    PlateColourMismatch "PLATE_COLOUR_MISMATCH" C03 Hold Hold High Derived ClonePlateSuspected ["LYG-4.6b", "LYG-4.6c1", "LYG-6.1b2"]
        "车牌颜色与登记不符，疑似套牌" "Plate colour differs from registration; suspected clone plate";
    PlateIcCardMismatch "PLATE_IC_CARD_MISMATCH" C03 Hold Hold Critical Derived CardMisuse ["NNG-1.5.i3", "NNG-1.5.e3", "NNG-T4"]
        "识别车牌与IC卡登记车牌不一致" "Recognised plate differs from the plate on the IC card";
    QrPlateMismatch "QR_PLATE_MISMATCH" C03 Never Hold High Derived CardMisuse ["HGS-2.1b", "HGS-1.5a"]
        "车牌与放行二维码预约车牌不一致" "Plate differs from the plate on the release QR code";
    // C04
    VehicleBlacklisted "VEHICLE_BLACKLISTED" C04 Refuse Hold Critical Text BannedAttempt ["LYG-6.4e", "LYG-7.8b"]
        "车辆已列入黑名单" "Vehicle is blacklisted";
    VehicleBannedOneYear "VEHICLE_BANNED_ONE_YEAR" C04 Refuse Hold Critical Text BannedAttempt ["LYG-2.5b", "LYG-7.8b"]
        "车辆被强制退出，一年内不予受理" "Vehicle under one-year forced-exit ban";
    EnterpriseDeregistered "ENTERPRISE_DEREGISTERED" C04 Refuse Hold High Derived None ["LYG-1.5", "LYG-1.6a", "LYG-1.6b"]
        "所属运输企业已注销" "The carrier is deregistered";
    // C05
    VehicleNotRegistered "VEHICLE_NOT_REGISTERED" C05 Refuse Hold High Text None ["LYG-0.9d", "LYG-0.12a", "LYG-4.6", "LYG-7.5a"]
        "车辆未登记备案" "Vehicle is not registered or filed";
    RegistrationNotApproved "REGISTRATION_NOT_APPROVED" C05 Refuse Hold High Text None ["LYG-0.12a", "LYG-4.7a", "LYG-4.7b", "LYG-7.5a"]
        "车辆登记尚未审核通过" "Registration not (yet) approved";
    RegistrationCancelled "REGISTRATION_CANCELLED" C05 Refuse Hold High Derived None ["LYG-2.5a", "LYG-0.12a"]
        "车辆登记已注销" "Registration cancelled";
    // C06
    RegistrationExpired "REGISTRATION_EXPIRED" C06 Refuse Hold Medium Choice None ["LYG-0.12a", "LYG-4.7a"]
        "车辆登记已过有效期" "Registration validity has ended";
    VehicleDocumentExpired "VEHICLE_DOCUMENT_EXPIRED" C06 Hold Hold Medium Derived None ["LYG-2.3a"]
        "车辆证件或保险已过期" "Vehicle document or insurance expired";
    ReceptionNotYetValid "RECEPTION_NOT_YET_VALID" C06 Refuse Never Medium Text None ["LYG-4.6c3"]
        "接待备案尚未生效" "Reception filing not yet valid";
    ReceptionExpired "RECEPTION_EXPIRED" C06 Refuse Never Medium Text None ["LYG-4.6c3"]
        "接待备案已超过两天有效期" "Reception filing older than two days";
    // C07
    CardRequired "CARD_REQUIRED" C07 Refuse Hold High Text None ["LYG-0.9c", "LYG-5.4", "LYG-5.5a", "LYG-7.2"]
        "未出示港通卡" "Port pass card required but not presented";
    IcCardRequired "IC_CARD_REQUIRED" C07 Hold Hold High Text None ["NNG-1.5.i3", "NNG-1.5.e3", "NNG-1.3.2"]
        "未刷IC卡且无载货登记簿" "Neither IC card nor cargo logbook presented";
    // C08
    CardUnknown "CARD_UNKNOWN" C08 Refuse Hold High Derived CardMisuse ["LYG-5.3", "LYG-7.6a"]
        "港通卡未登记" "Card not known to the registry";
    CardTypeNotAccepted "CARD_TYPE_NOT_ACCEPTED" C08 Refuse Hold Medium Derived None ["LYG-0.10a", "LYG-5.3"]
        "卡类型不适用于本车辆" "Card type not applicable to this vehicle";
    CardCancelled "CARD_CANCELLED" C08 Refuse Hold High Text CardMisuse ["LYG-6.3b", "LYG-6.4c", "LYG-6.4d", "LYG-6.4f"]
        "港通卡已注销" "Card cancelled";
    CardReportedLost "CARD_REPORTED_LOST" C08 Refuse Hold High Derived CardMisuse ["LYG-6.3c"]
        "港通卡已挂失或补换" "Card reported lost or replaced";
    CardNotYetValid "CARD_NOT_YET_VALID" C08 Refuse Hold Medium Text None ["LYG-7.6a"]
        "港通卡尚未生效" "Card not yet valid";
    CardExpired "CARD_EXPIRED" C08 Refuse Hold High Text None ["LYG-0.12a", "LYG-7.6a"]
        "港通卡已过有效期" "Card expired";
    SingleCardAlreadyUsed "SINGLE_CARD_ALREADY_USED" C08 Refuse Hold High Text CardMisuse ["LYG-5.4", "LYG-5.5a"]
        "单次卡已使用或已回收" "Single-trip card already used or recovered";
    IcCardInvalid "IC_CARD_INVALID" C08 Refuse Refuse High Derived None ["NNG-1.3.2", "NNG-T4"]
        "IC卡无效或已注销" "IC card unknown or cancelled";
    // C09
    TaskMissing "TASK_MISSING" C09 Refuse Hold High Text None ["LYG-0.9b", "LYG-2.7b", "LYG-2.8a", "LYG-3.6"]
        "未申报进出港任务（货盘码）" "No entry/exit task (cargo-tray code) declared";
    TaskVehicleMismatch "TASK_VEHICLE_MISMATCH" C09 Refuse Hold High Derived None ["LYG-2.7b", "LYG-2.8a", "LYG-5.5a"]
        "任务车辆与本车不一致" "Task was declared for another vehicle";
    TaskNotActive "TASK_NOT_ACTIVE" C09 Refuse Hold Medium Derived None ["LYG-2.7b", "LYG-5.5a"]
        "任务已完成、已取消或已使用" "Task completed, cancelled or already used";
    TaskOutsideWindow "TASK_OUTSIDE_WINDOW" C09 Hold Hold Low Choice None ["LYG-2.8a", "LYG-2.9a"]
        "不在预约时段内" "Outside the appointment window";
    NoReleaseInstruction "NO_RELEASE_INSTRUCTION" C09 Hold Never Low Text None ["LYG-2.9a", "LYG-2.9b"]
        "尚未接到放行指令" "No release instruction from the terminal yet";
    AppointmentMissing "APPOINTMENT_MISSING" C09 Never Refuse High Text None ["HGS-1.1", "HGS-2.1b"]
        "未预约" "No appointment";
    AppointmentNotActive "APPOINTMENT_NOT_ACTIVE" C09 Never Refuse Medium Derived None ["HGS-2.1b"]
        "预约已使用或已取消" "Appointment used or cancelled";
    // C10
    CargoTaskMismatch "CARGO_TASK_MISMATCH" C10 Hold Hold High Text CargoMismatch ["LYG-0.12a", "LYG-0.12b", "LYG-7.6a", "LYG-7.6b", "LYG-7.7"]
        "实际载货与任务不一致" "Actual cargo does not match the task";
    // C11
    ExitPermitMissing "EXIT_PERMIT_MISSING" C11 Never Hold High Text None ["LYG-7.6b", "LYG-7.7"]
        "无出门证信息" "No exit permit";
    ExitPermitInvalid "EXIT_PERMIT_INVALID" C11 Never Hold High Derived None ["LYG-7.6b", "LYG-7.7"]
        "出门证与车辆不符、已使用或已作废" "Exit permit for another vehicle, used or void";
    // C12
    LeaveConsentMissing "LEAVE_CONSENT_MISSING" C12 Never Refuse Critical Text UnauthorisedLeave ["LYG-6.4e"]
        "港内短倒车辆未经码头公司同意不得离港" "Short-haul vehicle may not leave without terminal consent";
    // C13
    CustomsVehicleNotFiled "CUSTOMS_VEHICLE_NOT_FILED" C13 Refuse Refuse Critical Text None ["NNG-1.3.2", "NNG-3.0", "NNG-T5c"]
        "车辆未在海关备案且无押运批准" "Vehicle not filed with customs and no escort approved";
    CustomsEnterpriseNotRegistered "CUSTOMS_ENTERPRISE_NOT_REGISTERED" C13 Refuse Refuse High Text None ["NNG-1.2.7"]
        "运输企业未在海关注册登记" "Carrier not registered with customs";
    CustomsEnterpriseCertExpired "CUSTOMS_ENTERPRISE_CERT_EXPIRED" C13 Refuse Refuse High Text None ["NNG-T2"]
        "注册登记证书未年审或已过期" "Registration certificate expired or not annually reviewed";
    CustomsGuaranteeExpired "CUSTOMS_GUARANTEE_EXPIRED" C13 Refuse Refuse High Derived None ["NNG-1.2.2", "NNG-T1", "NNG-T2"]
        "担保已过期" "Guarantee expired";
    PermitToCarryExpired "PERMIT_TO_CARRY_EXPIRED" C13 Refuse Refuse High Text None ["NNG-T4"]
        "准载证过期或未经年度审核" "Permit to carry expired or not annually reviewed";
    DriverNotFiled "DRIVER_NOT_FILED" C13 Refuse Refuse High Derived None ["NNG-1.4.1", "NNG-1.2.6"]
        "驾驶员未在海关备案" "Driver not filed with customs";
    DriverNotOfEnterprise "DRIVER_NOT_OF_ENTERPRISE" C13 Refuse Refuse High Derived None ["NNG-1.4.1", "NNG-T6"]
        "驾驶员非本企业职工或合同期已满" "Driver is not (any longer) an employee of the carrier";
    EscortStaffShort "ESCORT_STAFF_SHORT" C13 Hold Hold High Text None ["NNG-3.2"]
        "押运人员不足每车2人" "Fewer than two escort officers for the vehicle";
    EscortFeeUnpaid "ESCORT_FEE_UNPAID" C13 Hold Hold Medium Text None ["NNG-3.2"]
        "押运规费未缴" "Escort fee unpaid";
    // C14
    ManifestMissing "MANIFEST_MISSING" C14 Refuse Refuse Critical Text None ["NNG-1.5.i1", "NNG-1.5.e1", "NNG-2.2.i1a", "NNG-2.2.e1a"]
        "未提前传输舱单（载货清单）数据" "No manifest transmitted in advance";
    ManifestLate "MANIFEST_LATE" C14 Hold Hold Medium Text None ["NNG-2.2.e1a"]
        "载货清单申报晚于报关手续" "Manifest declared after the customs declaration was lodged";
    ManifestAlreadyWrittenOff "MANIFEST_ALREADY_WRITTEN_OFF" C14 Refuse Refuse High Derived None ["NNG-2.2.e3", "NNG-2.2.i1c"]
        "舱单已核注，不可重复使用" "Manifest already written off";
    TripManifestNotOneToOne "TRIP_MANIFEST_NOT_ONE_TO_ONE" C14 Hold Hold High Text None ["NNG-2.2.i1c", "NNG-2.2.e1b"]
        "同一车次对应多份载货清单" "Trip has more than one manifest";
    TripNotConfirmed "TRIP_NOT_CONFIRMED" C14 Hold Hold Medium Text None ["NNG-2.2.i1b", "NNG-2.2.e1b"]
        "未进行车次确认" "Trip not confirmed";
    TripConfirmedLate "TRIP_CONFIRMED_LATE" C14 Hold Hold Medium Text None ["NNG-2.2.i1b", "NNG-2.2.e1b"]
        "车次确认不足1小时" "Trip confirmed less than one hour before arrival";
    TransitDeclarationMissing "TRANSIT_DECLARATION_MISSING" C14 Hold Hold High Text None ["NNG-1.5.i1", "NNG-1.5.e1", "NNG-3.1"]
        "缺少纸质转关申报单" "Paper transit declaration missing";
    FastEquipmentMissing "FAST_EQUIPMENT_MISSING" C14 Hold Hold High Text None ["NNG-2.1"]
        "未使用海关认可的定位设备和电子封志" "No approved satellite positioning and e-seal";
    // C15
    SealNotRecorded "SEAL_NOT_RECORDED" C15 Hold Hold High Text None ["NNG-1.5.i2", "NNG-1.5.e2"]
        "未录入施封关锁号" "Seal number not recorded";
    SealNotVerified "SEAL_NOT_VERIFIED" C15 Hold Hold Medium Choice None ["NNG-1.5.i5", "NNG-1.5.e5"]
        "未读取到关锁信息" "Seal not read at this checkpoint";
    SealMismatch "SEAL_MISMATCH" C15 Hold Hold Critical Derived SealTamper ["NNG-1.5.i2", "NNG-1.5.i5", "NNG-1.5.e2", "NNG-1.5.e5"]
        "关锁号与录入不一致" "Seal number differs from the recorded one";
    SealBroken "SEAL_BROKEN" C15 Hold Hold Critical Derived SealTamper ["NNG-1.1.2", "NNG-T5d"]
        "关锁破损" "Seal broken";
    RouteDeviation "ROUTE_DEVIATION" C15 Hold Hold High Derived RouteDeviation ["NNG-T3", "NNG-T5d", "NNG-1.5.i4", "NNG-1.5.e4"]
        "途中偏离核定路线或异常停留" "Deviation from the approved route on the way";
    // C16
    DeclarationNotImported "DECLARATION_NOT_IMPORTED" C16 Never Hold High Derived None ["HGS-1.3"]
        "报关单未导入" "Customs declaration not imported";
    DeclarationPlateMismatch "DECLARATION_PLATE_MISMATCH" C16 Never Hold High Text None ["HGS-1.5a"]
        "车牌号与报关单不一致且未修改确认" "Plate differs from declaration and was not corrected";
    HeavyVehicleCountMismatch "HEAVY_VEHICLE_COUNT_MISMATCH" C16 Never Hold Medium Text None ["HGS-1.5b"]
        "重车数量与报关单不一致且未确认" "Heavy-vehicle count differs from declaration and was not confirmed";
    CbecReleaseListMissing "CBEC_RELEASE_LIST_MISSING" C16 Never Hold High Text None ["HGS-1.6b"]
        "跨境电商清单模式未上传核放清单" "E-commerce list mode without release list";
    WarehouseApprovalMissing "WAREHOUSE_APPROVAL_MISSING" C16 Never Refuse High Text None ["HGS-2.1b", "HGS-2.2"]
        "所属仓储未审批" "Warehouse (or port administration) approval missing";
    WarehouseApproverNotCompetent "WAREHOUSE_APPROVER_NOT_COMPETENT" C16 Never Refuse High Derived None ["HGS-2.1b", "HGS-2.2"]
        "审批单位与所选换装场所不符" "Approved by a body not competent for the chosen yard";
    QrNotPresented "QR_NOT_PRESENTED" C16 Never Hold Medium Text None ["HGS-2.1b"]
        "未出示放行二维码" "Release QR code not presented";
    QrInvalid "QR_INVALID" C16 Never Refuse High Derived CardMisuse ["HGS-2.1b"]
        "放行二维码无效" "Release QR code unknown or revoked";
    QrAlreadyUsed "QR_ALREADY_USED" C16 Never Refuse High Choice CardMisuse ["HGS-2.1b"]
        "放行二维码已使用" "Release QR code already used";
    VinListIncomplete "VIN_LIST_INCOMPLETE" C16 Never Hold Medium Derived None ["HGS-1.4b", "HGS-1.6c"]
        "车架号数量与车辆总数不符" "VIN list does not match the total vehicle count";
    VinMismatch "VIN_MISMATCH" C16 Never Hold High Text CargoMismatch ["HGS-1.5c"]
        "车架号与报关单不一致" "VIN differs from the declaration";
    // C17
    ReceptionAlreadyUsed "RECEPTION_ALREADY_USED" C17 Refuse Never Medium Text None ["LYG-4.6c3"]
        "接待备案单次有效，已使用" "Reception filing is valid once and has been used";
    PlateAlreadyInside "PLATE_ALREADY_INSIDE" C17 Hold Never Critical Derived ClonePlateSuspected ["LYG-6.1b2"]
        "该车牌在港未出，疑似套牌" "Plate is already inside; suspected clone plate";
    NoEntryRecord "NO_ENTRY_RECORD" C17 Never Hold High Derived None ["LYG-5.5a", "LYG-6.1b2"]
        "无进港记录，请核查" "No entry record for this plate";
    CredentialReserved "CREDENTIAL_RESERVED" C17 Hold Hold High Choice None []
        "该凭证正在其他通道使用" "Credential is in use at another lane";
    ImpossibleTravel "IMPOSSIBLE_TRAVEL" C17 Hold Hold Critical Choice ClonePlateSuspected []
        "通行时间异常，疑似套牌" "Seen elsewhere too recently; suspected clone plate";
    // C18
    InspectionOrdered "INSPECTION_ORDERED" C18 Hold Hold Medium Text None ["LYG-2.9c", "LYG-3.8", "LYG-7.8a", "NNG-2.2.e2"]
        "布控查验，请接受检查" "Inspection ordered";
    ProceedToInspection "PROCEED_TO_INSPECTION" C18 Open Open Info Text None ["NNG-2.2.i3", "NNG-2.2.e2"]
        "请前往后置监管货场接受查验" "Proceed to the rear supervised yard for inspection";
    // C19
    ManualReleaseRequired "MANUAL_RELEASE_REQUIRED" C19 Hold Hold Info Text None ["LYG-0.12a", "LYG-0.12b", "LYG-4.4b", "LYG-7.5b", "LYG-7.6a", "LYG-7.6b", "LYG-7.7"]
        "核验无误，请人工放行" "All checks passed; manual release by the guard";
    CustomsAnnotationRequired "CUSTOMS_ANNOTATION_REQUIRED" C19 Hold Hold Info Text None ["NNG-1.5.i5", "NNG-1.5.e5", "NNG-1.5.i2"]
        "请海关值守人员签注后放行" "Customs officer to annotate logbook/declaration, then release";
    EscortReleaseRequired "ESCORT_RELEASE_REQUIRED" C19 Hold Hold Info Choice None ["NNG-3.0", "NNG-3.2"]
        "押运车辆，由海关人员放行" "Escorted vehicle; release by customs officers";
    CommodityManualRelease "COMMODITY_MANUAL_RELEASE" C19 Never Hold Info Choice None ["HGS-1.5c"]
        "商品车，请核对车架号后放行" "Commodity vehicles; check VINs, then release";
    AutoReleaseBusinessEntry "AUTO_RELEASE_BUSINESS_ENTRY" C19 Open Never Info Text None ["LYG-4.4a", "LYG-7.5a"]
        "事务性车辆，自动放行" "Business-affairs vehicle: automatic release";
    AutoReleaseAuxiliaryEntry "AUTO_RELEASE_AUXILIARY_ENTRY" C19 Open Never Info Text None ["LYG-3.7"]
        "辅助生产车辆，自动识别放行" "Auxiliary vehicle: automatic release";
    AutoReleaseReceptionEntry "AUTO_RELEASE_RECEPTION_ENTRY" C19 Open Never Info Text None ["LYG-4.6c2"]
        "接待车辆，自动放行" "Reception vehicle: automatic release";
    PeakModeExit "PEAK_MODE_EXIT" C19 Never Open Info Text None ["LYG-4.4c"]
        "高峰通行模式放行" "Peak pass mode release";
    QrRelease "QR_RELEASE" C19 Never Open Info Derived None ["HGS-2.1b", "HGS-2.2"]
        "凭放行二维码放行" "Released on the release QR code";
    IcCardRelease "IC_CARD_RELEASE" C19 Open Open Info Text None ["NNG-1.5.i3", "NNG-1.5.i5", "NNG-1.5.e3", "NNG-1.5.e5"]
        "IC卡核注，自动抬杆" "IC card verified, barrier raised";
    FastClearanceRelease "FAST_CLEARANCE_RELEASE" C19 Open Open Info Text None ["NNG-2.2.i2", "NNG-2.2.e2", "NNG-2.2.e3"]
        "快速通关，卡口自动核放" "Fast clearance: automatic release";
    AutoReleaseProduction "AUTO_RELEASE_PRODUCTION" C19 Open Open Info Choice None ["LYG-7.6a", "LYG-7.6b"]
        "生产货运车辆核验无误，自动放行" "Production freight: all checks passed, automatic release";
}

impl Reason {
    /// The violation it raises; being banned counts at entry only, because leaving is no attempt.
    pub fn violation(self, entry: bool) -> Option<Violation> {
        self.listed_violation().filter(|v| entry || *v != Violation::BannedAttempt)
    }

    /// Whether it stands in the way of a release mode (severity above info).
    pub fn blocks(self) -> bool {
        self.severity() > Severity::Info
    }

    /// The reason of a code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| r.code() == code)
    }

    /// As a decision on record carries it.
    pub fn record(self, cite: Option<&str>, disposition: Verdict) -> ReasonRecord {
        ReasonRecord {
            code: self.code().to_owned(),
            check: self.check().as_str().to_owned(),
            cite: cite.map(str::to_owned),
            disposition,
            severity: self.severity(),
            zh: self.zh().to_owned(),
            en: self.en().to_owned(),
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// A component that is away or doubtful while deciding: the degradation ladder. The outcome is
/// never Open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SysReason {
    /// The lane's records contradict each other.
    LaneMisconfigured,
    /// The log is unreachable.
    LogAway,
    /// The registry is older than its limit.
    RegistryStale,
    /// The lane is cut off from the owner of its site.
    CutOff,
    /// The clock has stepped.
    ClockStepped,
    /// The disk is full.
    DiskFull,
    /// The evidence store is away.
    EvidenceAway,
    /// The recogniser is away.
    RecogniserAway,
    /// The camera is away.
    CameraAway,
    /// The card reader is away.
    CardReaderAway,
    /// The policy was taken away.
    PolicyMissing,
}

impl SysReason {
    /// The reason shown.
    pub const fn reason(self) -> Reason {
        match self {
            Self::LaneMisconfigured => Reason::SysLaneMisconfigured,
            Self::LogAway => Reason::SysLogAway,
            Self::RegistryStale => Reason::SysRegistryStale,
            Self::CutOff => Reason::SysCutOff,
            Self::ClockStepped => Reason::SysClockStepped,
            Self::DiskFull => Reason::SysDiskFull,
            Self::EvidenceAway => Reason::SysEvidenceAway,
            Self::RecogniserAway => Reason::SysRecogniserAway,
            Self::CameraAway => Reason::SysCameraAway,
            Self::CardReaderAway => Reason::SysCardReaderAway,
            Self::PolicyMissing => Reason::SysPolicyMissing,
        }
    }

    /// Whether the facts or the time themselves are in doubt: nothing is refused on them either.
    pub const fn doubts_facts(self) -> bool {
        match self {
            Self::LaneMisconfigured | Self::RegistryStale | Self::CutOff | Self::ClockStepped | Self::PolicyMissing => true,
            Self::LogAway | Self::DiskFull | Self::EvidenceAway | Self::RecogniserAway | Self::CameraAway | Self::CardReaderAway => false,
        }
    }
}
