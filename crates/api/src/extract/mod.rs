//! What handlers take from a request, one file each. Every refusal is a
//! [`Problem`](crate::problem::Problem) that names all that is wrong at once.

mod body;
mod faults;
mod id;
mod query;
mod schema;

pub use body::{Body, Once};
pub use faults::Faults;
pub use id::{Id, IdAndKey, Key};
pub use query::Query;
