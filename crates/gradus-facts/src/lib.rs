//! gradus-facts
