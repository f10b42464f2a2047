mod exchange;
mod policy;
