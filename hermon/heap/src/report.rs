//! The report on a heap trace, with confidence intervals.
//!
//! | module | content |
//! |---|---|
//! | `sites` | stacks combined by site and by function |
//! | `model`, `text` | the report as a value, and as text |
//! | `compare` | the comparison of two traces |

mod compare;
mod model;
mod sites;
mod text;

pub use compare::{Change, Comparison, Row, Side};
pub use model::{
    Amount, FunctionRow, Growth, Header, LifetimeRow, Report, SCHEMA, SiteRow, SizeRow, Totals,
};
