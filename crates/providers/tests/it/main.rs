//! Providers against their strict stand-ins: real HTTP on loopback, no mocks.

mod addresses;
mod answers;
mod callback;
mod catalog;
mod config;
mod conformance;
mod consent;
mod customers_and_stock;
mod drive;
mod drive_texts;
mod faults;
mod sales;
mod sales_days;
mod stand_in;
mod token_server;
