//! The store on a real file system: whole lives, crashes at every point, damage of every kind, and what fills up.

mod crashes;
mod damage;
mod full_disk;
mod golden;
mod life;
mod logs;
mod many;
mod quotas;
mod world;

use super::*;
