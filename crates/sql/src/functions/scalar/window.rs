//! Group windows (`GROUP BY TUMBLE(...)`) and what can be taken of them.

use super::special;
use crate::functions::signature::{FunctionDef, Special, WindowProperty};

const START: Special = Special::WindowProperty(WindowProperty::Start);
const END: Special = Special::WindowProperty(WindowProperty::End);
const ROWTIME: Special = Special::WindowProperty(WindowProperty::Rowtime);
const PROCTIME: Special = Special::WindowProperty(WindowProperty::Proctime);

pub(crate) const FUNCTIONS: &[FunctionDef] = &[
    special("tumble", &[], "TUMBLE(time, size)", Special::Window),
    special("hop", &[], "HOP(time, slide, size)", Special::Window),
    special("session", &[], "SESSION(time, gap)", Special::Window),
    special("cumulate", &[], "CUMULATE(time, step, size)", Special::Window),
    special("tumble_start", &[], "TUMBLE_START(time, size)", START),
    special("hop_start", &[], "HOP_START(time, slide, size)", START),
    special("session_start", &[], "SESSION_START(time, gap)", START),
    special("tumble_end", &[], "TUMBLE_END(time, size)", END),
    special("hop_end", &[], "HOP_END(time, slide, size)", END),
    special("session_end", &[], "SESSION_END(time, gap)", END),
    special("tumble_rowtime", &[], "TUMBLE_ROWTIME(time, size)", ROWTIME),
    special("hop_rowtime", &[], "HOP_ROWTIME(time, slide, size)", ROWTIME),
    special("session_rowtime", &[], "SESSION_ROWTIME(time, gap)", ROWTIME),
    special("tumble_proctime", &[], "TUMBLE_PROCTIME(time, size)", PROCTIME),
    special("hop_proctime", &[], "HOP_PROCTIME(time, slide, size)", PROCTIME),
    special("session_proctime", &[], "SESSION_PROCTIME(time, gap)", PROCTIME),
];
