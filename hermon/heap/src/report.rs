//! Reports on heap traces, with the confidence of each estimate.
//!
//! | module | what it is |
//! |---|---|
//! | `sites` | stacks put together by site and by function |
//! | `model`, `text` | the report as a value, and as text |
//! | `compare` | two reports beside each other |

mod compare;
mod model;
mod sites;
mod text;

pub use compare::{Change, Comparison, Row, Side};
pub use model::{
    Amount, FunctionRow, Growth, Header, LifetimeRow, Report, SCHEMA, SiteRow, SizeRow, Totals,
};
