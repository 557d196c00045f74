//! One struct per kind of registry record, with exactly the fields of decision-table section 8
//! (there marked `?`: may be absent or null; marked `*`: informative, no check reads them), the
//! optional `issue_id` of single-use credentials, and the `id` of the address where section 8
//! names none. Plates are written normalised, days are inclusive, instants half-open (CH-19).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Presence;
use crate::people::Role;
use crate::policy::Policy;
use crate::registry::words::*;
use crate::time::{Date, Instant};

/// Declares record structs: every one refuses unknown fields.
macro_rules! records {
    ($($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident : $type:ty),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[$field_meta])* pub $field: $type),+ }
    )+};
}

records! {
    /// A carrier (运输企业).
    Enterprise {
        /// Id.
        id: String,
        /// Status.
        status: EnterpriseStatus,
        /// Name (informative).
        name: Option<String>,
        /// When it was deregistered (informative).
        deregistered_at: Option<Instant>,
    }

    /// A registered vehicle (车辆).
    Vehicle {
        /// Plate; the record's id.
        plate: String,
        /// Category.
        category: VehicleCategory,
        /// Review status of the registration.
        registration: Registration,
        /// Whether it is inside, before the gate's own passages.
        presence: Option<Presence>,
        /// Registered plate colour.
        plate_colour: Option<PlateColour>,
        /// Body.
        body: Option<Body>,
        /// Id of the carrier.
        enterprise: Option<String>,
        /// Last day of the registration; null: no limit.
        registration_valid_to: Option<Date>,
        /// The earliest last day of its documents; null: no limit.
        documents_valid_to: Option<Date>,
        /// Rated load in tonnes (informative).
        rated_load_t: Option<f64>,
    }

    /// A port pass card, or a customs IC card.
    Card {
        /// What the reader reports.
        id: String,
        /// Kind of card.
        r#type: CardType,
        /// The vehicle it is bound to.
        plate: String,
        /// Status.
        status: CardStatus,
        /// First day; null: no limit (CH-25).
        valid_from: Option<Date>,
        /// Last day; null: no limit.
        valid_to: Option<Date>,
        /// Code of the task it was issued for.
        task: Option<String>,
        /// Why it was cancelled.
        cancel_reason: Option<CancelReason>,
        /// Issue of the card; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// A task (货盘码) or the declaration of a single visit.
    Task {
        /// Cargo-tray code, or the number of the declaration; the record's id.
        code: String,
        /// Kind.
        kind: TaskKind,
        /// Plate.
        plate: String,
        /// State.
        state: TaskState,
        /// Cargo it should carry when entering; null: empty.
        cargo_in: Option<String>,
        /// Cargo it should carry when leaving; null: empty.
        cargo_out: Option<String>,
        /// Start of the appointment window; null: open.
        window_from: Option<Instant>,
        /// End of it, exclusive; null: open.
        window_to: Option<Instant>,
        /// Body of a single-visit vehicle.
        body: Option<Body>,
        /// Presence of a single-visit vehicle, before the gate's own passages.
        presence: Option<Presence>,
        /// Work unit (informative).
        work_unit: Option<String>,
        /// Phone (informative).
        phone: Option<String>,
        /// Issue; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// A reception filing (接待车辆登记).
    Reception {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// Filed plate colour.
        plate_colour: Option<PlateColour>,
        /// Day 1 of its two days (CH-08).
        valid_from: Date,
        /// State.
        state: ReceptionState,
        /// Whether it is inside, before the gate's own passages.
        presence: Option<Presence>,
        /// Body.
        body: Option<Body>,
        /// Purpose (informative).
        purpose: Option<String>,
        /// Declarant (informative).
        declarant: Option<String>,
        /// Issue; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// A ban on a vehicle (禁入, 黑名单).
    Ban {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// Kind.
        kind: BanKind,
        /// From this instant.
        from: Instant,
        /// Until this instant, exclusive; null: until lifted.
        to: Option<Instant>,
    }

    /// An exit permit (出门证).
    ExitPermit {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// State.
        state: PermitState,
        /// Issue; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// A terminal's consent to a short-haul vehicle leaving (离港同意).
    LeaveConsent {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// State.
        state: ConsentState,
        /// Valid before this instant; null: no end.
        valid_to: Option<Instant>,
        /// Who granted it (informative).
        granted_by: Option<String>,
        /// Issue; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// An order to inspect a vehicle (布控查验).
    InspectionOrder {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// State.
        state: InspectionState,
        /// Who ordered it (informative).
        by: Option<String>,
        /// Role of the account that ordered it; the gate fills it in. What customs ordered only
        /// customs concludes.
        ordered_by: Option<Role>,
        /// When it was ordered; the gate fills it in.
        ordered_at: Option<Instant>,
        /// Why (informative).
        reason: Option<String>,
        /// Who concluded it; the gate fills it in.
        concluded_by: Option<String>,
        /// When it was concluded; the gate fills it in.
        concluded_at: Option<Instant>,
        /// What the inspection found (informative).
        finding: Option<String>,
    }

    /// A Horgos appointment with its imported declaration.
    Appointment {
        /// Id.
        id: String,
        /// Kind.
        kind: AppointmentKind,
        /// Plate.
        plate: String,
        /// State.
        state: AppointmentState,
        /// 是否转关: filled in by hand, nothing is imported (HGS-1.6a).
        transit: bool,
        /// Whether the declaration was imported.
        declaration_imported: bool,
        /// Plate on the imported declaration.
        declared_plate: Option<String>,
        /// That plate was corrected by hand.
        plate_corrected: Option<bool>,
        /// Vehicle count on the imported declaration.
        declared_count: Option<u32>,
        /// That count was corrected by hand.
        count_corrected: Option<bool>,
        /// Heavy: vehicles as confirmed; commodity: vehicles carried.
        vehicle_count: u32,
        /// Warehouse id, `HUONEI_OTHER` or `HUOWAI`; null for commodity.
        yard: Option<String>,
        /// Cargo type; only `CBEC_LIST` matters.
        cargo_type: Option<String>,
        /// Uploaded release list (核放清单); non-empty: uploaded.
        release_list: Option<String>,
        /// VINs of a commodity appointment.
        vins: Option<Vec<String>>,
        /// Where the VINs came from.
        vin_source: Option<VinSource>,
        /// Declaration number (informative).
        declaration_no: Option<String>,
    }

    /// The approval of a Horgos appointment by a warehouse or the port administration.
    Approval {
        /// Id.
        id: String,
        /// Id of the appointment.
        appointment: String,
        /// State.
        state: ApprovalState,
        /// Warehouse id or `PORT_ADMINISTRATION`.
        approver: String,
    }

    /// A Horgos release QR code.
    QrCode {
        /// Content of the code.
        id: String,
        /// Plate it is bound to.
        plate: String,
        /// Id of the appointment it releases.
        appointment: String,
        /// State.
        state: QrState,
        /// Issue; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// A carrier at customs.
    CustomsEnterprise {
        /// Id.
        id: String,
        /// Status.
        status: CustomsEnterpriseStatus,
        /// Last day of the registration certificate; null: expired (7.31).
        certificate_valid_to: Option<Date>,
        /// Last day of the guarantee; null: expired.
        guarantee_valid_to: Option<Date>,
    }

    /// A vehicle on file with customs.
    CustomsVehicle {
        /// Plate; the record's id.
        plate: String,
        /// Id of the carrier at customs.
        enterprise: String,
        /// Last day of the permit to carry; null: expired.
        permit_valid_to: Option<Date>,
        /// Last day before the next annual review; null: expired (CH-49).
        permit_review_due: Option<Date>,
        /// Approved satellite positioning.
        gps_approved: bool,
        /// Approved e-seal.
        eseal_approved: bool,
        /// Number of the permit (informative).
        permit_no: Option<String>,
    }

    /// A driver on file with customs.
    CustomsDriver {
        /// Id.
        id: String,
        /// Id of the carrier.
        enterprise: String,
        /// Last day of the contract; null: expired.
        contract_valid_to: Option<Date>,
    }

    /// A customs trip.
    Trip {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// Flow.
        flow: Flow,
        /// Regime.
        regime: Regime,
        /// Seal number customs recorded.
        seal_no: Option<String>,
        /// When the trip was confirmed.
        confirmed_at: Option<Instant>,
        /// When the declaration was lodged.
        declaration_lodged_at: Option<Instant>,
        /// A deviation was reported on the way.
        deviation: Option<bool>,
        /// State; absent: open.
        state: Option<TripState>,
    }

    /// A manifest of a customs trip.
    Manifest {
        /// Id.
        id: String,
        /// Id of the trip.
        trip: String,
        /// When it was transmitted; it counts after this instant.
        transmitted_at: Instant,
        /// State.
        state: ManifestState,
        /// Issue; a new one starts its use afresh.
        issue_id: Option<String>,
    }

    /// A customs escort of a vehicle not on file.
    Escort {
        /// Id.
        id: String,
        /// Plate.
        plate: String,
        /// Approved by customs.
        approved: bool,
        /// Number of officers.
        officers: u32,
        /// The fee is paid.
        fee_paid: bool,
    }

    /// A port area (港区): the unit of order and ownership.
    Site {
        /// Id.
        id: String,
        /// Name on screens.
        name: Option<String>,
    }

    /// A checkpoint (检查站) of a site.
    Checkpoint {
        /// Id, like `JCZ-1`.
        id: String,
        /// Id of the site.
        site: String,
        /// The document that governs it.
        profile: Profile,
        /// Customs port with an information system; absent: yes.
        it_port: Option<bool>,
        /// Name on screens.
        name: Option<String>,
    }

    /// A lane of a checkpoint.
    Lane {
        /// Id, like `JCZ-1.L1`.
        id: String,
        /// Id of the checkpoint.
        checkpoint: String,
        /// Direction; must exist in the checkpoint's profile.
        direction: Direction,
        /// What the lane is marked for.
        lane_class: LaneClass,
        /// Name on screens.
        name: Option<String>,
    }

    /// Peak pass mode of a checkpoint (高峰通行模式, CH-10); its id is the checkpoint's.
    PeakMode {
        /// Id of the checkpoint.
        id: String,
        /// Switched on.
        active: bool,
        /// From this instant; null: open.
        from: Option<Instant>,
        /// Until this instant, exclusive; null: open.
        to: Option<Instant>,
        /// Who switched it on.
        activated_by: Option<String>,
    }

    /// A revision of the policy. What was written before under the same id is not lost: every
    /// revision counts from its instant, in its place on the timeline of its checkpoint.
    PolicyRecord {
        /// Id: the checkpoint, or `default` for every one without a live revision of its own; both
        /// may go on with `@` and a name of one's own, like `JCZ-1@2026-spring`.
        id: String,
        /// Checkpoint it is for, or `default`; absent: the one the id names.
        checkpoint: Option<String>,
        /// It takes effect at this instant of the gate's clock, the instant included; absent, or
        /// past when it is written: at once.
        effective_from: Option<Instant>,
        /// How it counts; absent: LIVE. SHADOW decides beside the live one and is only recorded;
        /// ADVISORY likewise, and is shown to the guard as advice. Neither opens or changes anything.
        mode: Option<PolicyMode>,
        /// The switches; those not given have their recommended defaults.
        switches: Policy,
    }
}

impl PeakMode {
    /// Whether peak pass mode counts at the instant (decision-table 7.19).
    pub fn counts_at(&self, at: Instant) -> bool {
        self.active && self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }
}

impl Checkpoint {
    /// Whether customs runs an information system here (default: yes).
    pub fn has_it(&self) -> bool {
        self.it_port.unwrap_or(true)
    }
}
