//! Providers against their strict stand-ins: real HTTP on loopback, no mocks.

mod catalog;
mod config;
mod conformance;
mod customers_and_stock;
mod faults;
mod sales;
mod stand_in;
