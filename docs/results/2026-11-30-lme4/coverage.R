# How often does lme4's 95 % interval of a difference of elasticity hold the true difference, 0,
# with and without (1 | item:arm)?
#
#   Rscript coverage.R
#
# Two arms with one true elasticity, 60 items of 6 samples; 300 simulations a row. Standard
# deviations as lme4 estimates them of the fixture, but for the two that the columns name.

suppressPackageStartupMessages(library(lme4))
simulations <- 300

once <- function(item_arm, slope, seeds) {
  items <- 60
  h <- rnorm(items, 0, 0.35)
  d <- expand.grid(sample = 1:6, seed = 1:seeds, item = 1:items, arm = c("a", "b"))
  d$h <- (h - mean(h))[d$item]
  d$training <- factor(paste(d$arm, d$seed))
  of_item <- rnorm(items, 0, 0.07)[d$item]
  of_item_arm <- rnorm(2 * items, 0, item_arm)[d$item + items * (d$arm == "b")]
  of_training <- rnorm(2 * seeds, 0, 0.05)[d$training]
  elasticity <- rnorm(2 * seeds, 0.4, slope)[d$training]
  d$log_tokens <- elasticity * d$h + of_item + of_item_arm + of_training + rnorm(nrow(d), 0, 0.67)
  d$item <- factor(d$item)
  difference <- function(more) {
    formula <- as.formula(paste("log_tokens ~ h * arm + (h | training) + (1 | item)", more))
    control <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE)
    model <- suppressMessages(lmer(formula, d, control = control))
    se <- sqrt(vcov(model)["h:armb", "h:armb"])
    c(covers = abs(fixef(model)[["h:armb"]]) < qnorm(0.975) * se, se = se)
  }
  c(difference(""), difference("+ (1 | item:arm)"))
}

set.seed(1)
cat("| seeds an arm | SD of item:arm | SD of slopes between trainings | covers without | with | mean SE without | with |\n")
cat("|---|---|---|---|---|---|---|\n")
for (setting in list(c(4, 0, 0.05), c(4, 0.16, 0.05), c(4, 0.16, 0.15), c(2, 0.16, 0.15))) {
  found <- rowMeans(replicate(simulations, once(setting[2], setting[3], setting[1])))
  cat(sprintf("| %d | %.2f | %.2f | %.1f %% | %.1f %% | %.3f | %.3f |\n", setting[1], setting[2], setting[3],
              100 * found[1], 100 * found[3], found[2], found[4]))
}
