//! What an attachment costs in descriptors.

use crate::Fallible;
use crate::helper::{DESCRIPTOR_LIMIT, SEGMENTS, count_descriptors};
use crate::report::Report;

pub(super) fn measure(report: &mut Report) -> Fallible {
    let what = format!("descriptors of {SEGMENTS} segments, created and opened under a limit of {DESCRIPTOR_LIMIT}");
    let (attached, descriptors) = count_descriptors()?;
    let met = attached == SEGMENTS && descriptors == 0;
    report.count(&what, "0", &format!("{descriptors}, with {attached} attached"), met);
    Ok(())
}
