//! Tests `deploy/` with the real programs: images, Telegraf, InfluxDB 1, VictoriaMetrics, and every query of the dashboards.
//!
//! ```text
//!  image ──UDP──▶ Telegraf ──▶ InfluxDB ────────◀── InfluxQL ── hermit-influxdb.json
//!  image ──TCP──▶          └─▶ VictoriaMetrics ◀── MetricsQL ── hermit-victoriametrics.json
//! ```
//!
//! `scripts/setup-deploy.sh` gets the programs and `scripts/build.sh` the image. A test without its program prints SKIPPED and the
//! reason. Under `CI=true` on a machine with Go it fails.
#![deny(unsafe_code)]

mod config;
mod dashboard;
mod database;
mod documents;
mod guest;
mod pipeline;
mod programs;
mod queries;
mod server;
mod stored;
mod telegraf;
