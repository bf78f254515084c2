//! The program `patroni_barman`.
fn main() {}
