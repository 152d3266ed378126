//! The PostgreSQL door and the store of views.
