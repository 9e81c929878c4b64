//! gradus-plan
