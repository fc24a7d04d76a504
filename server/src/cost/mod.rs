//! What a call of a network costs, and whether its bits depend on the rest of the batch.

mod curve;
#[allow(unused_imports)]
pub(crate) use curve::CostCurve;
