# Do tokens follow people's times? The tables beside this script, fitted with lme4.
#
#   Rscript analysis.R
#
# It needs R and lme4 (Debian: apt-get install r-cran-lme4) and nothing else. It reads
# samples.csv and, where it is there, trials.csv; it prints its tables and writes
# lme4.csv to five digits. It draws no random numbers; lme4's searches end within about 1e-7
# of each other from run to run.
#
# Model 1, tokens:  log_tokens ~ h * arm + (h | training) + (1 | item)
#   h is an item's human cost, mean ln(ms), centred within its task; a training is one
#   seed of one arm. The slope of an arm is its elasticity. With several tasks each arm
#   has an intercept for each task, which centres its tokens within tasks.
#   Where there are several arms the model is fitted a second time with (1 | item:arm).
#   Without that term each sample of an item counts as fresh evidence of a difference of
#   slopes, although all of them carry what the arm makes of that one item; the standard
#   error of a difference is then too small. Read the second fit for differences.
#
# Model 2, times:   log_rt ~ cost + size + (1 + cost | subject) + (1 | item)
#   Trials that count; cost is an arm's mean log_tokens of the item (over samples, then
#   over trainings), size the covariate x_size, both centred within task. Each arm has a
#   fit of its own. A single fit over all arms would hold every trial once for each arm,
#   as if people had been timed that often, and its standard errors would be too small.
#   So there is no difference of arms here, only their slopes side by side.
#
# Intervals are estimate +- 1.96 standard errors (Wald); lme4 gives no degrees of freedom,
# and with few trainings they are too narrow.

if (!requireNamespace("lme4", quietly = TRUE)) {
  stop("this script needs the package lme4 (Debian: apt-get install r-cran-lme4)", call. = FALSE)
}
suppressPackageStartupMessages(library(lme4))
options(width = 120, warn = 1)

script <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
# Rscript writes a blank in a path as ~+~.
script <- gsub("~+~", " ", script, fixed = TRUE)
here <- if (length(script) == 1) dirname(script) else "."

read <- function(name, text) {
  classes <- setNames(rep("character", length(text)), text)
  read.csv(file.path(here, name), na.strings = "", check.names = FALSE, encoding = "UTF-8", colClasses = classes)
}

# Levels in the order in which they are met, whatever the locale sorts.
in_order <- function(x) factor(x, levels = unique(x))
joined <- function(...) in_order(paste(..., sep = "\t"))
say <- function(...) cat(strwrap(paste0(...), width = 100, exdent = 2), sep = "\n")

# Centres the values of items (one row an item) within their tasks.
centred <- function(x, task) x - ave(x, task)

# Whether a variance of a term, or a combination of its effects, is estimated as 0.
degenerate <- function(model, group) {
  terms <- VarCorr(model)
  of_group <- sub("\\.[0-9]+$", "", names(terms)) == group
  smallest <- function(v) min(eigen(unclass(v), symmetric = TRUE, only.values = TRUE)$values)
  any(vapply(terms[of_group], smallest, 0) < 1e-8 * sigma(model)^2)
}

# Fits with the first of the random terms of `group` that gives a fit which converges and is
# not degenerate in that term; the last is taken as it is. What was passed over is in `said`.
fit <- function(fixed, terms, group, others, data) {
  said <- character()
  model <- NULL
  for (k in seq_along(terms)) {
    text <- paste(c(fixed, terms[k][terms[k] != ""], others), collapse = " + ")
    warned <- character()
    note <- function(condition, restart) {
      warned <<- c(warned, gsub("\\s+", " ", trimws(conditionMessage(condition))))
      invokeRestart(restart)
    }
    tried <- tryCatch(
      withCallingHandlers(
        lmer(as.formula(text), data, control = lmerControl(optimizer = "bobyqa")),
        warning = function(w) note(w, "muffleWarning"),
        message = function(m) note(m, "muffleMessage")
      ),
      error = function(e) gsub("\\s+", " ", conditionMessage(e))
    )
    if (is.character(tried)) {
      said <- c(said, paste0(text, " cannot be fitted: ", tried))
      next
    }
    model <- tried
    # A singular fit is told of among these too; it is looked at term by term instead.
    failures <- Filter(function(m) !grepl("isSingular", m), c(warned, model@optinfo$conv$lme4$messages))
    failures <- unique(failures[!grepl("rank deficient", failures)])
    zero <- terms[k] != "" && degenerate(model, group)
    if (k < length(terms) && (zero || length(failures) > 0)) {
      why <- if (zero) "is singular in that term" else paste("did not converge:", paste(failures, collapse = "; "))
      said <- c(said, paste0(terms[k], " was replaced by ", terms[k + 1], ": the fit ", why))
      next
    }
    if (isSingular(model)) said <- c(said, "the fit is singular: a variance is estimated as 0")
    said <- c(said, failures, warned[grepl("rank deficient", warned)])
    break
  }
  list(model = model, text = text, said = said)
}

# A row of the results for each linear combination of the fixed effects.
rows <- function(kind, fitted, weights, arm, against) {
  if (is.null(fitted$model)) {
    value <- se <- rep(NA_real_, length(arm))
  } else {
    value <- as.vector(weights %*% fixef(fitted$model))
    se <- sqrt(diag(as.matrix(weights %*% as.matrix(vcov(fitted$model)) %*% t(weights))))
  }
  data.frame(
    model = kind, arm = arm, against = against, estimate = value, se = se,
    low = value - qnorm(0.975) * se, high = value + qnorm(0.975) * se,
    fit = fitted$text, warnings = paste(fitted$said, collapse = "; ")
  )
}

show <- function(title, table, label) {
  cat("\n", title, "\n", sep = "")
  numbers <- as.matrix(table[c("estimate", "se", "low", "high")])
  shown <- formatC(numbers, digits = 4, format = "f")
  shown[is.na(numbers)] <- "undefined"
  dimnames(shown) <- list(label, c("estimate", "SE", "95 % from", "to"))
  print(shown, quote = FALSE, right = TRUE)
}

describe <- function(fitted) {
  cat("\nfit: ", fitted$text, "\n", sep = "")
  for (line in fitted$said) say("note: ", line)
  if (!is.null(fitted$model)) {
    parts <- as.data.frame(VarCorr(fitted$model))
    parts <- parts[is.na(parts$var2), ]
    names <- ifelse(is.na(parts$var1), "residual", paste(parts$grp, parts$var1))
    # What lme4 calls singular is 0, in whichever digit the search for it ended.
    sd <- ifelse(parts$sdcor < 1e-4 * sigma(fitted$model), 0, signif(parts$sdcor, 3))
    say("standard deviations: ", paste0(names, " ", sd, collapse = ", "))
  }
}

# Model 1.
tokens <- function(samples) {
  timed <- !is.na(samples$h)
  if (any(!timed)) {
    say(sum(!timed), " samples of items without a human cost are left out.")
    samples <- samples[timed, ]
  }
  items <- samples[!duplicated(samples$item), ]
  items$h <- centred(items$h, items$task)
  samples$h <- items$h[match(samples$item, items$item)]
  if (nrow(items) < 3 || all(abs(items$h) < 1e-12)) {
    say("Human cost does not vary within tasks: there is no elasticity.")
    return(NULL)
  }
  if (all(samples$log_tokens == samples$log_tokens[1])) {
    say("Every sample has the same number of tokens: there is nothing to fit.")
    return(NULL)
  }
  samples <- droplevels(samples)
  arms <- levels(samples$arm)
  fixed <- if (nlevels(samples$task) > 1) "(h + task)" else "h"
  if (length(arms) > 1) fixed <- paste(fixed, "* arm")
  fixed <- paste("log_tokens ~", sub("^\\((h \\+ task)\\)$", "\\1", fixed))
  first <- samples[!duplicated(samples$training), ]
  trainings <- table(first$arm)
  terms <- c("(h | training)", "(h || training)", "(1 | training)")
  group <- "training"
  if (all(trainings < 2)) {
    terms <- group <- ""
    say("Each arm has one training: what varies between seeds is unknown and not in the standard errors.")
  } else if (any(trainings < 2)) {
    say("With one training, and taken to vary between seeds as the others: ",
        paste(names(trainings)[trainings < 2], collapse = ", "), ".")
  }
  others <- list("(1 | item)")
  if (length(arms) > 1 && nlevels(joined(samples$item, samples$arm)) < nrow(samples)) {
    others <- c(others, list(c("(1 | item)", "(1 | item:arm)")))
  }
  found <- NULL
  for (other in others) {
    fitted <- fit(fixed, terms, group, other, samples)
    describe(fitted)
    effects <- if (is.null(fitted$model)) "h" else names(fixef(fitted$model))
    # The slope of the first arm is that of h; another's has the interaction added.
    weights <- matrix(0, length(arms), length(effects), dimnames = list(arms, effects))
    weights[, effects == "h"] <- 1
    for (arm in arms[-1]) {
      own <- effects == paste0("h:arm", arm)
      # An effect that the data do not determine was dropped from the model.
      weights[arm, ] <- if (any(own)) weights[arm, ] + own else NA
    }
    slopes <- rows("tokens", fitted, weights, arms, "")
    show("elasticity: slope of ln(1 + tokens) on human cost", slopes, arms)
    found <- rbind(found, slopes)
    if (length(arms) > 1) {
      pair <- t(combn(length(arms), 2))
      between <- weights[pair[, 2], , drop = FALSE] - weights[pair[, 1], , drop = FALSE]
      differences <- rows("tokens", fitted, between, arms[pair[, 2]], arms[pair[, 1]])
      show("differences of elasticity", differences, paste(differences$arm, "-", differences$against))
      found <- rbind(found, differences)
    }
  }
  found
}

# Model 2.
times <- function(samples, trials) {
  trials <- trials[trials$counted == 1 & !is.na(trials$log_rt) & trials$item %in% samples$item, ]
  if (nrow(trials) == 0) {
    say("No trial counts: the second model is not fitted.")
    return(NULL)
  }
  items <- samples[!duplicated(samples$item), ]
  items <- items[items$item %in% trials$item, ]
  fixed <- c("log_rt ~ cost", if (length(unique(items$task)) > 1) "task")
  if (is.null(items$x_size) || anyNA(items$x_size)) {
    say("Not every item has x_size: the times are fitted without size.")
  } else if (all(abs(centred(items$x_size, items$task)) < 1e-12)) {
    say("Size does not vary within tasks: the times are fitted without it.")
  } else {
    items$size <- centred(items$x_size, items$task)
    trials$size <- items$size[match(trials$item, items$item)]
    fixed <- c(fixed, "size")
  }
  terms <- c("(1 + cost | subject)", "(1 + cost || subject)", "(1 | subject)")
  group <- "subject"
  if (nlevels(droplevels(trials$subject)) < 2) {
    terms <- group <- ""
    say("There is one subject: what varies between people is unknown and not in the standard errors.")
  }
  found <- NULL
  for (arm in levels(samples$arm)) {
    own <- samples[samples$arm == arm, ]
    of_training <- tapply(own$log_tokens, list(own$item, own$training), mean)
    cost <- rowMeans(of_training, na.rm = TRUE)
    items$cost <- cost[as.character(items$item)]
    known <- items[is.finite(items$cost), ]
    known$cost <- centred(known$cost, known$task)
    data <- trials
    data$cost <- known$cost[match(data$item, known$item)]
    if (all(abs(known$cost) < 1e-12)) {
      fitted <- list(model = NULL, text = "none", said = "the arm's cost does not vary within tasks")
    } else {
      fitted <- fit(paste(fixed, collapse = " + "), terms, group, "(1 | item)", droplevels(data[!is.na(data$cost), ]))
    }
    cat("\n", arm, sep = "")
    describe(fitted)
    weights <- t(as.numeric(if (is.null(fitted$model)) 0 else names(fixef(fitted$model)) == "cost"))
    found <- rbind(found, rows("times", fitted, weights, arm, ""))
  }
  show("slope of ln(response time) on an arm's mean ln(1 + tokens)", found, found$arm)
  found
}

cat(R.version.string, ", lme4 ", as.character(packageVersion("lme4")), "\n", sep = "")
samples <- read("samples.csv", c("arm", "role", "seed", "base", "teacher", "task", "item", "cluster"))
samples$training <- joined(samples$arm, samples$seed)
samples$arm <- in_order(samples$arm)
samples$item <- joined(samples$task, samples$item)
samples$task <- in_order(samples$task)
cat(nrow(samples), " samples of ", nlevels(samples$item), " items, ", nlevels(samples$task), " task(s), ",
    nlevels(samples$arm), " arm(s), ", nlevels(samples$training), " training(s)\n", sep = "")

cat("\n# Tokens\n")
found <- tokens(samples)
cat("\n# Times\n")
if (file.exists(file.path(here, "trials.csv"))) {
  trials <- read("trials.csv", c("task", "item", "cluster", "subject"))
  trials$item <- joined(trials$task, trials$item)
  # Names of subjects are a task's own: the same name in two tasks need not be one person.
  trials$subject <- joined(trials$task, trials$subject)
  trials$task <- in_order(trials$task)
  found <- rbind(found, times(samples, trials))
} else {
  say("There is no trials.csv: the second model is not fitted. qinglan compare --format long --norms DIR writes it.")
}
if (!is.null(found)) {
  numbers <- c("estimate", "se", "low", "high")
  found[numbers] <- signif(found[numbers], 5)
  write.csv(found, file.path(here, "lme4.csv"), row.names = FALSE, na = "")
}
