//! C01: who stands there. Manual entry before camera before card before QR (CH-20).

use super::outcome::stated_plate;
use super::subject;
use super::Case;
use crate::decision::PlateSource;
use crate::facts::{FactError, FactSource};
use crate::plate;
use crate::reason::Reason;
use crate::registry::{Card, QrCode};

/// Identity and the credentials presented with it.
pub(super) struct Identity {
    /// The plate the checks run on.
    pub plate: String,
    /// Where it came from.
    pub source: PlateSource,
    /// The card presented, if it is on record.
    pub card: Option<Card>,
    /// The QR code presented, if it is on record.
    pub qr: Option<QrCode>,
    /// A card was presented, on record or not.
    pub card_presented: bool,
    /// A QR code was presented, on record or not.
    pub qr_presented: bool,
    /// What the camera read, however surely; normalised.
    pub camera_text: Option<String>,
}

impl Identity {
    /// Establishes the identity; without any, the C01 reason stands alone.
    pub(super) fn establish(case: &mut Case<'_>, facts: &dyn FactSource) -> Result<Option<Self>, FactError> {
        let inputs = case.inputs;
        let camera_text = inputs.plate_read.as_ref().map(|r| plate::normalise(&r.text)).filter(|t| !t.is_empty());
        let card_id = presented(inputs.card.as_deref());
        let qr_id = presented(inputs.qr.as_deref());
        let card = match card_id {
            Some(id) => subject::card(facts, id)?,
            None => None,
        };
        let qr = match qr_id {
            Some(id) => subject::qr_code(facts, id)?,
            None => None,
        };
        let stated = stated_plate(inputs, case.context.policy.plate_confidence_min);
        match stated.as_ref().map(|(_, source)| *source) {
            Some(PlateSource::Manual) => case.add(Reason::ManualPlateEntry),
            Some(PlateSource::Camera) => {}
            Some(PlateSource::Card | PlateSource::Qr) | None if camera_text.is_some() => case.add(Reason::PlateLowConfidence),
            Some(PlateSource::Card | PlateSource::Qr) | None => case.add(Reason::PlateUnreadable),
        }
        let from_credential = || {
            let by_card = card.as_ref().map(|c| (c.plate.clone(), PlateSource::Card));
            by_card.or_else(|| qr.as_ref().map(|q| (q.plate.clone(), PlateSource::Qr)))
        };
        let Some((plate, source)) = stated.or_else(from_credential) else { return Ok(None) };
        Ok(Some(Self { plate, source, card, qr, card_presented: card_id.is_some(), qr_presented: qr_id.is_some(), camera_text }))
    }

    /// Whether the plate was typed in or read surely: only then can a credential disagree (7.4).
    pub(super) fn sure(&self) -> bool {
        match self.source {
            PlateSource::Manual | PlateSource::Camera => true,
            PlateSource::Card | PlateSource::Qr => false,
        }
    }

    /// C03: the presented card is bound to another plate.
    pub(super) fn card_disagrees(&self) -> bool {
        self.sure() && self.card.as_ref().is_some_and(|c| c.plate != self.plate)
    }

    /// C03: the presented QR code is bound to another plate.
    pub(super) fn qr_disagrees(&self) -> bool {
        self.sure() && self.qr.as_ref().is_some_and(|q| q.plate != self.plate)
    }
}

/// An id that was really presented: an empty one is none.
pub(super) fn presented(id: Option<&str>) -> Option<&str> {
    id.map(str::trim).filter(|s| !s.is_empty())
}
