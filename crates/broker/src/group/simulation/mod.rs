//! Random histories of groups, with a clock of their own and crashes between any two
//! steps, against a coordinator whose promises are checked at each of them.

mod classic;
mod mixed;
