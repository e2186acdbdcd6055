//! Slots: who has one, who is alive, and what a fork does to them.
