//! Populations under the calibrated strategy.
